"""One network for the containers of all nodes: a subnet each, a bridge, and VXLAN or direct routes between them.

choice       whether this daemon may touch the machine's network at all
plan         pure: from a State to what this node's part shall be
found, changes  pure: what the kernel has, and what can be done to it
links        pure: from what it has to the changes that are due; tunnels: those of VXLAN and WireGuard
firewall     pure: rules that let the packets pass, as text of iptables-save
engine_rules pure: the engine's own, put back when they vanish; rule_memory: kept while the daemon is down
netlink      the kernel's links, routes and entries, by pyroute2
wireguard    the device that encrypts; keys: this node's
capabilities what this machine has and lacks
commands     those of the machine that are run
kernel       all that the driver asks of the machine
news         pure: which of the kernel's news tell of a loss
driver       looks, changes, looks again
reach        pure: which nodes do not answer through it; direct: which ones need no tunnel; misses: what both count
prober       asks them, by echo
reporter     tells the cluster how it went
attachment   which network containers are put on
"""
