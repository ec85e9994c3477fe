// Questions to the server that this page came from, and its own words where it refuses.

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title || "the server gave no answer");
    this.near = problem.near ?? [];
    this.status = problem.status ?? 0;
  }
}

async function answered(response) {
  if (response.ok) return response;
  let problem = { title: `the server answered ${response.status}`, status: response.status };
  try {
    problem = { ...problem, ...(await response.json()) };
  } catch {
    /* it said nothing that can be read */
  }
  throw new Refused(problem);
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused({ title: "the server cannot be reached: does joulecast serve still run?" });
  }
  return answered(response);
}

export async function get(path) {
  return (await asked(path)).json();
}

function posting(body) {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

export async function post(path, body) {
  return (await asked(path, posting(body))).json();
}

export async function postForBlob(path, body) {
  return (await asked(path, posting(body))).blob();
}

// Of questions that come faster than answers only the last is asked: one at a time, none is lost at the end.
export class Latest {
  constructor(ask, got, failed) {
    Object.assign(this, { ask, got, failed, waiting: null, busy: false });
  }

  want(question) {
    this.waiting = { question };
    if (!this.busy) this.work();
  }

  async work() {
    this.busy = true;
    while (this.waiting) {
      const { question } = this.waiting;
      this.waiting = null;
      try {
        const answer = await this.ask(question);
        this.got(answer, question);
      } catch (error) {
        if (!this.waiting) this.failed(error, question);
      }
    }
    this.busy = false;
  }
}
