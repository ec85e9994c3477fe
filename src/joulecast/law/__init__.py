"""From compute to energy and time: forms of laws, their fits, and what they predict."""
