package client

import (
	"context"

	"github.com/ao/hivemind/pkg/api/types"
)

// Login authenticates; from here on the client uses the token.
func (c *Client) Login(ctx context.Context, username, password string) (*types.Login, error) {
	body := map[string]string{"username": username, "password": password}
	answer, err := one[types.Login](ctx, c, post, "/auth/login", body)
	if err == nil {
		c.SetToken(answer.Token)
	}
	return answer, err
}

// Logout revokes the token.
func (c *Client) Logout(ctx context.Context) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/auth/logout", nil)
}

// APIKeys lists one's API keys; an admin's list has everybody's.
func (c *Client) APIKeys(ctx context.Context, query Query) (*Page[types.APIKey], error) {
	return list[types.APIKey](ctx, c, "/auth/api-keys", "api_keys", query)
}

// CreateAPIKey makes a key; the answer's Key is told this once.
func (c *Client) CreateAPIKey(ctx context.Context, key *types.NewAPIKey) (*types.APIKey, error) {
	return one[types.APIKey](ctx, c, post, "/auth/api-keys", key)
}

// DeleteAPIKey revokes a key.
func (c *Client) DeleteAPIKey(ctx context.Context, id string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/auth/api-keys/"+part(id), nil)
}

// RotateKeys makes new keys sign tokens.
func (c *Client) RotateKeys(ctx context.Context) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/auth/rotate-keys", nil)
}

// Users lists the users.
func (c *Client) Users(ctx context.Context, query Query) (*Page[types.User], error) {
	return list[types.User](ctx, c, "/users", "users", query)
}

// User shows one user.
func (c *Client) User(ctx context.Context, id string) (*types.User, error) {
	return one[types.User](ctx, c, get, "/users/"+part(id), nil)
}

// CreateUser makes a user.
func (c *Client) CreateUser(ctx context.Context, user *types.NewUser) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/users", user)
}

// DeleteUser deletes a user.
func (c *Client) DeleteUser(ctx context.Context, id string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/users/"+part(id), nil)
}

// SetPassword changes a password; current is needed for one's own.
func (c *Client) SetPassword(ctx context.Context, id, password, current string) (*types.Done, error) {
	body := map[string]string{"password": password}
	if current != "" {
		body["current_password"] = current
	}
	return one[types.Done](ctx, c, put, "/users/"+part(id)+"/password", body)
}

// SetRole changes a user's role.
func (c *Client) SetRole(ctx context.Context, id, role string) (*types.Done, error) {
	return one[types.Done](ctx, c, put, "/users/"+part(id)+"/role", map[string]string{"role": role})
}

// Roles lists the roles.
func (c *Client) Roles(ctx context.Context, query Query) (*Page[types.Role], error) {
	return list[types.Role](ctx, c, "/roles", "roles", query)
}

// Role shows one role.
func (c *Client) Role(ctx context.Context, name string) (*types.Role, error) {
	return one[types.Role](ctx, c, get, "/roles/"+part(name), nil)
}

// CreateRole defines a role.
func (c *Client) CreateRole(ctx context.Context, role *types.Role) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/roles", role)
}

// UpdateRole replaces what a role may do.
func (c *Client) UpdateRole(ctx context.Context, role *types.Role) (*types.Done, error) {
	body := map[string]any{"permissions": role.Permissions, "description": role.Description}
	return one[types.Done](ctx, c, put, "/roles/"+part(role.Name), body)
}

// DeleteRole deletes a role of one's own.
func (c *Client) DeleteRole(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/roles/"+part(name), nil)
}

// Groups lists the groups.
func (c *Client) Groups(ctx context.Context, query Query) (*Page[types.Group], error) {
	return list[types.Group](ctx, c, "/groups", "groups", query)
}

// Group shows one group.
func (c *Client) Group(ctx context.Context, name string) (*types.Group, error) {
	return one[types.Group](ctx, c, get, "/groups/"+part(name), nil)
}

// CreateGroup makes a group.
func (c *Client) CreateGroup(ctx context.Context, group *types.Group) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/groups", group)
}

// UpdateGroup replaces a group's roles and members.
func (c *Client) UpdateGroup(ctx context.Context, group *types.Group) (*types.Done, error) {
	body := map[string]any{"roles": group.Roles, "members": group.Members}
	return one[types.Done](ctx, c, put, "/groups/"+part(group.Name), body)
}

// DeleteGroup deletes a group.
func (c *Client) DeleteGroup(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/groups/"+part(name), nil)
}

// Audit lists who did, or tried, what. Filters are user_id, action, outcome, and any field.
func (c *Client) Audit(ctx context.Context, query Query) (*Page[types.AuditRecord], error) {
	return list[types.AuditRecord](ctx, c, "/audit", "records", query)
}
