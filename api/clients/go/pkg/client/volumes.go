package client

import (
	"context"
	"encoding/json"
	"io"
	"net/url"

	"github.com/ao/hivemind/pkg/api/types"
)

// Volumes lists the volumes.
func (c *Client) Volumes(ctx context.Context, query Query) (*Page[types.StoredVolume], error) {
	return list[types.StoredVolume](ctx, c, "/volumes", "volumes", query)
}

// Volume shows one volume.
func (c *Client) Volume(ctx context.Context, name string) (*types.StoredVolume, error) {
	return one[types.StoredVolume](ctx, c, get, "/volumes/"+part(name), nil)
}

// CreateVolume makes a volume.
func (c *Client) CreateVolume(ctx context.Context, volume *types.NewVolume) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/volumes/create", volume)
}

// DeleteVolume deletes a volume; with force also while containers use it.
func (c *Client) DeleteVolume(ctx context.Context, name string, force bool) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/volumes/delete", map[string]any{"name": name, "force": force})
}

// VolumeUsage tells how much is in a volume, and where.
func (c *Client) VolumeUsage(ctx context.Context, name string) (*types.VolumeUsage, error) {
	return one[types.VolumeUsage](ctx, c, get, "/volumes/"+part(name)+"/usage", nil)
}

// BackupVolume reads all that is in a volume as a tar compressed by zstd; "gzip" is the other compression there is.
// Where it breaks off, reading fails. Close it.
func (c *Client) BackupVolume(ctx context.Context, name, compression string) (io.ReadCloser, error) {
	query := url.Values{}
	if compression != "" {
		query.Set("compression", compression)
	}
	_, body, err := c.open(ctx, c.server(), "/volumes/"+part(name)+"/backup", query)
	return body, err
}

// RestoreVolume replaces all that is in a volume by what the archive has, or changes nothing. It is sent once.
func (c *Client) RestoreVolume(ctx context.Context, name string, archive io.Reader) (*types.VolumeData, error) {
	request, err := c.request(ctx, c.server(), put, "/volumes/"+part(name)+"/restore", nil, nil)
	if err != nil {
		return nil, err
	}
	request.Body, request.ContentLength = io.NopCloser(archive), -1
	request.Header.Set("Content-Type", "application/octet-stream")
	found, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer found.Body.Close()
	content, err := io.ReadAll(found.Body)
	if err != nil {
		return nil, err
	}
	if err := errorOf(found.StatusCode, content); err != nil {
		return nil, err
	}
	var envelope struct{ Data types.VolumeData }
	return &envelope.Data, json.Unmarshal(content, &envelope)
}

// RestoreVolumeFrom is as RestoreVolume, from a scheduled backup; without Backup it is the newest.
func (c *Client) RestoreVolumeFrom(ctx context.Context, name string, from *types.StoredSource) (*types.VolumeData, error) {
	return one[types.VolumeData](ctx, c, post, "/volumes/"+part(name)+"/restore", from)
}

// CloneVolume makes a copy on the same node.
func (c *Client) CloneVolume(ctx context.Context, name, newName string) (*types.VolumeData, error) {
	return one[types.VolumeData](ctx, c, post, "/volumes/"+part(name)+"/clone", map[string]string{"name": newName})
}

// VolumeSnapshots lists the snapshots of a volume, oldest first.
func (c *Client) VolumeSnapshots(ctx context.Context, name string, query Query) (*Page[types.StoredVolume], error) {
	return list[types.StoredVolume](ctx, c, "/volumes/"+part(name)+"/snapshots", "snapshots", query)
}

// SnapshotVolume keeps a volume as it is now.
func (c *Client) SnapshotVolume(ctx context.Context, name, snapshot string) (*types.VolumeData, error) {
	return one[types.VolumeData](ctx, c, post, "/volumes/"+part(name)+"/snapshots", map[string]string{"name": snapshot})
}

// RollBackVolume makes a volume as it was when the snapshot was taken.
func (c *Client) RollBackVolume(ctx context.Context, name, snapshot string) (*types.VolumeData, error) {
	body := map[string]string{"snapshot": snapshot}
	return one[types.VolumeData](ctx, c, post, "/volumes/"+part(name)+"/rollback", body)
}

// MoveVolume moves a volume that no container mounts to another node.
func (c *Client) MoveVolume(ctx context.Context, name, node string) (*types.VolumeData, error) {
	return one[types.VolumeData](ctx, c, post, "/volumes/"+part(name)+"/move", map[string]string{"node": node})
}
