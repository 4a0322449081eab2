"""Named volumes on this node.

mounts      pure: what the engine is asked for, by a volume's type
uses        who has a volume on this node: nothing is replaced under a container
provider    makes the engine's volumes before a container mounts them
cleaner     removes the engine's volumes that the cluster no longer has, or has elsewhere
archive     a directory as a compressed tar, and back
data        this node's local volumes: usage, backup, restore, copies
backups     scheduled backups as this node makes, lists and reads them
backup_keeper  makes those that are this node's to make, and tells the cluster
backup_names   pure: how they are called, and which are too old
backup_store   where they are kept: directory_store, s3_store
sealing     archives encrypted by a passphrase
gateway     the data of a volume of any node; server: this node's end of it
"""
