"""Named volumes on this node.

mounts      pure: what the engine is asked for, by a volume's type
provider    makes the engine's volumes before a container mounts them
cleaner     removes the engine's volumes that the cluster no longer has, or has elsewhere
archive     a directory as a compressed tar, and back
data        this node's local volumes: usage, backup, restore, copies
gateway     the same for a volume of any node; server: this node's end of it
"""
