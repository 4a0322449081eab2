"""Real daemons over several engines, in a lab that lasts as long as this folder's tests."""
