package client

import (
	"context"

	"github.com/ao/hivemind/pkg/api/types"
)

// CreateBackupSchedule makes a schedule by which a volume is backed up.
func (c *Client) CreateBackupSchedule(ctx context.Context, schedule *types.BackupSpec) (*types.Done, error) {
	return one[types.Done](ctx, c, post, "/backup-schedules", schedule)
}

// UpdateBackupSchedule replaces what a schedule shall be; secrets that are left out stay.
func (c *Client) UpdateBackupSchedule(ctx context.Context, schedule *types.BackupSpec) (*types.Done, error) {
	return one[types.Done](ctx, c, put, "/backup-schedules/"+part(schedule.Name), schedule)
}

// BackupSchedules lists the schedules.
func (c *Client) BackupSchedules(ctx context.Context, query Query) (*Page[types.BackupSchedule], error) {
	return list[types.BackupSchedule](ctx, c, "/backup-schedules", "backup_schedules", query)
}

// BackupSchedule answers one schedule with its spec and its last backup.
func (c *Client) BackupSchedule(ctx context.Context, name string) (*types.BackupSchedule, error) {
	return one[types.BackupSchedule](ctx, c, get, "/backup-schedules/"+part(name), nil)
}

// DeleteBackupSchedule deletes a schedule; what it stored stays where it is.
func (c *Client) DeleteBackupSchedule(ctx context.Context, name string) (*types.Done, error) {
	return one[types.Done](ctx, c, remove, "/backup-schedules/"+part(name), nil)
}

// RunBackup begins one backup now.
func (c *Client) RunBackup(ctx context.Context, name string) (*types.BackupStarted, error) {
	return one[types.BackupStarted](ctx, c, post, "/backup-schedules/"+part(name)+"/run", nil)
}

// StoredBackups lists what a schedule has made and what is still there, newest first.
func (c *Client) StoredBackups(ctx context.Context, name string, query Query) (*Page[types.StoredBackup], error) {
	return list[types.StoredBackup](ctx, c, "/backup-schedules/"+part(name)+"/backups", "backups", query)
}
