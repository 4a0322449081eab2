"""One network for the containers of all nodes: a subnet each, a bridge, and VXLAN or direct routes between them.

choice       whether this daemon may touch the machine's network at all
plan         pure: from a State to what this node's part shall be
links        pure: from what the kernel has to the changes that are due
firewall     pure: rules that let the packets pass, as text of iptables-save
netlink      the kernel's links, routes and entries, by pyroute2
kernel       all that the driver asks of the machine; its news
driver       looks, changes, looks again
reporter     tells the cluster how it went
attachment   which network containers are put on
"""
