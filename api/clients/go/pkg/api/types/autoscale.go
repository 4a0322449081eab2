package types

import "time"

// Autoscale is between how many replicas an app has, so many that they use about CPUTarget percent of the CPU that
// they request. Last is the last time that this changed their number; it is not sent.
type Autoscale struct {
	Min        int         `json:"min"`
	Max        int         `json:"max"`
	CPUTarget  int         `json:"cpu_target"`
	Tolerance  *float64    `json:"tolerance,omitempty"`
	UpWindow   Quantity    `json:"up_window,omitempty"`
	DownWindow Quantity    `json:"down_window,omitempty"`
	Last       *Autoscaled `json:"last,omitempty"`
}

// Autoscaled is a change of an app's number of replicas by their use.
type Autoscaled struct {
	At               time.Time `json:"at"`
	PreviousReplicas int       `json:"previous_replicas"`
	Replicas         int       `json:"replicas"`
	Reason           string    `json:"reason"`
}
