"""What was made of every node of a workflow, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from joulecast.records import Record
from joulecast.workflows.asking import AskedSampler, LeftOut
from joulecast.workflows.classes import UNCOUNTED, NodeClass, class_of
from joulecast.workflows.flow import Flow
from joulecast.workflows.graph import Node

COUNTED, READ, FREE = "counted", "read", "no work"
NOT_COUNTED, UNKNOWN, NOT_RUN = "not counted", "unknown", "not run"
FREE_ROLE: Final = "free"  # in the table of classes
FOR_NOTHING: Final = "nothing is saved of what it makes"
# What is read of nodes by their first role, or that they do nothing that is counted.
_READ: Final[Mapping[str, str]] = {
    "model": "which model",
    "empty": "the size and the batch",
    "image": "an image",
    "unread": "nothing is known of what it makes",
    "encode": "an image as a latent",
    "decode": "a latent as an image",
    "resize": "the size from here",
    "pad": "the size from here",
    "repeat": "the batch from here",
    "batch": "the batch from here",
    "size": "a size",
    "upscaler": "by how much it scales",
    "scheduler": "the steps",
    "split": "the steps",
    "name": "the sampler",
    "guider": "the passes",
    "number": "a number",
    "pass": "hands on what it is given",
    "text": "a prompt",
}


class Understood(Record):
    """A node, and what was made of it: `status` is COUNTED, READ, FREE, NOT_COUNTED, UNKNOWN or NOT_RUN."""

    id: str
    class_name: str
    title: str
    status: str
    words: str

    def to_dict(self) -> dict[str, str]:
        """The same as one JSON object."""
        return {
            "node": self.id,
            "class": self.class_name,
            "title": self.title,
            "status": self.status,
            "words": self.words,
        }


def understood(flow: Flow, asked: Sequence[AskedSampler | LeftOut]) -> Iterator[Understood]:
    """What was made of every node, in the order of the file; those that are switched off last."""
    at_work = _counted(flow, asked)
    left_out = {one.node.id: one.words for one in asked if isinstance(one, LeftOut)}
    for node in flow.graph.nodes.values():
        status, words = _told(node, node.id in flow.run, at_work, left_out)
        yield Understood(node.id, node.class_name, node.title, status, words)
    for off in flow.graph.off:
        yield Understood(off.id, off.class_name, "", NOT_RUN, off.words)


def _told(node: Node, runs: bool, at_work: Mapping[str, str], left_out: Mapping[str, str]) -> tuple[str, str]:
    """A node's status and words."""
    known = class_of(node.class_name)
    if known is not None and known.roles == (FREE_ROLE,):
        return FREE, ""
    if not runs:
        return NOT_RUN, FOR_NOTHING
    if known is None:
        return UNKNOWN, "left out of the sum"
    if node.id in left_out:
        return NOT_COUNTED, left_out[node.id]
    if UNCOUNTED in known.roles:
        return NOT_COUNTED, known.words
    if node.id in at_work:
        return COUNTED, _with(at_work[node.id], known)
    return _read(known)


def _with(words: str, known: NodeClass) -> str:
    """Words, and how its class is counted otherwise."""
    return "; ".join(filter(None, (words, known.words)))


def _read(known: NodeClass) -> tuple[str, str]:
    """What is read of a node that does no work that is counted."""
    if {"encode", "decode", "text"} & set(known.roles):
        return NOT_COUNTED, _READ[known.roles[0]] + " that no sampler's estimate has"
    words = _READ.get(known.roles[0], "")
    return (READ, _with(words, known)) if words else (FREE, "")


def _counted(flow: Flow, asked: Sequence[AskedSampler | LeftOut]) -> dict[str, str]:
    """Nodes whose work is in the sum, and what of it."""
    found: dict[str, str] = {}
    for one in asked:
        if not isinstance(one, AskedSampler):
            continue
        sampling = one.sampling
        found[sampling.node.id] = "the denoiser"
        found |= dict.fromkeys(sampling.texts, "a prompt")
        if sampling.picture.encoded is not None and one.question.profile.images.arguments:
            found[sampling.picture.encoded] = "an image as a latent"
        for decoding in flow.decodings:
            picture = decoding.picture
            is_own = picture.sampled == sampling.node.id and picture.encoded is None
            if is_own and picture.size == sampling.picture.size:
                found[decoding.node.id] = "a latent as an image"
    return found
