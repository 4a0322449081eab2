package types

// PortRange is one port, several (both bounds belong to it), or all of a protocol.
type PortRange struct {
	Protocol string `json:"protocol,omitempty"`
	PortMin  int    `json:"port_min,omitempty"`
	PortMax  int    `json:"port_max,omitempty"`
}

// Selector is of containers that have all of these labels.
type Selector struct {
	Labels map[string]string `json:"labels,omitempty"`
}

// NetworkPeer is a range of addresses, or containers.
type NetworkPeer struct {
	IPBlock  string    `json:"ip_block,omitempty"`
	Selector *Selector `json:"selector,omitempty"`
}

// IngressRule allows connections to the selected containers.
type IngressRule struct {
	Ports []PortRange   `json:"ports,omitempty"`
	From  []NetworkPeer `json:"from,omitempty"`
}

// EgressRule allows connections of the selected containers. Its peers are in To or in From.
type EgressRule struct {
	Ports []PortRange   `json:"ports,omitempty"`
	To    []NetworkPeer `json:"to,omitempty"`
	From  []NetworkPeer `json:"from,omitempty"`
}

// NetworkPolicy says who may talk to the containers that it selects, and to whom they may. Containers and
// NotEnforcedOn are told by the server.
type NetworkPolicy struct {
	Name               string        `json:"name"`
	Description        string        `json:"description,omitempty"`
	Selector           Selector      `json:"selector"`
	IngressRules       []IngressRule `json:"ingress_rules,omitempty"`
	EgressRules        []EgressRule  `json:"egress_rules,omitempty"`
	PolicyTypes        []string      `json:"policy_types,omitempty"`
	EncryptionRequired bool          `json:"encryption_required,omitempty"`
	TrafficLogging     bool          `json:"traffic_logging,omitempty"`
	Containers         []string      `json:"containers,omitempty"`
	NotEnforcedOn      []string      `json:"not_enforced_on,omitempty"`
}
