"""Balancing and filtering in the kernel, where the overlay is on: one nftables table of ours, changed atomically.

ruleset   pure: sets, maps and chains as values, and the commands from one ruleset to another
match     pure: the expressions that rules are made of
balance   pure: virtual addresses and published ports, led to endpoints
filter    pure: network policies
compiler  pure: from a State to this node's ruleset, made anew only where something changed
encoding  pure: small changes as the kernel reads them; netlink: hands them to it, and asks what it has
nft       these or the command, and what of a kernel's settings is needed
traffic   what the kernel tells of logged connections
driver    keeps the kernel's table as it shall be
"""
