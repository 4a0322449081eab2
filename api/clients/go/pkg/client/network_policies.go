package client

import (
	"context"

	"github.com/ao/hivemind/pkg/api/types"
)

// NetworkPolicies lists the network policies.
func (c *Client) NetworkPolicies(ctx context.Context, query Query) (*Page[types.NetworkPolicy], error) {
	return list[types.NetworkPolicy](ctx, c, "/security/network-policies", "policies", query)
}

// NetworkPolicy shows one network policy.
func (c *Client) NetworkPolicy(ctx context.Context, name string) (*types.NetworkPolicy, error) {
	return one[types.NetworkPolicy](ctx, c, get, "/security/network-policies/"+part(name), nil)
}

// CreateNetworkPolicy makes a network policy.
func (c *Client) CreateNetworkPolicy(ctx context.Context, policy *types.NetworkPolicy) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/security/network-policies", policy)
}

// UpdateNetworkPolicy replaces a network policy.
func (c *Client) UpdateNetworkPolicy(ctx context.Context, policy *types.NetworkPolicy) (*types.Done, error) {
	return one[types.Done](ctx, c, put, "/security/network-policies/"+part(policy.Name), policy)
}

// DeleteNetworkPolicy deletes a network policy.
func (c *Client) DeleteNetworkPolicy(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/security/network-policies/"+part(name), nil)
}
