package types

import "time"

// BackupSpec is what a schedule of backups shall be. Passphrase and the target's secret are never answered.
type BackupSpec struct {
	Name        string          `json:"name"`
	Volume      string          `json:"volume"`
	Schedule    string          `json:"schedule"`
	TimeZone    string          `json:"time_zone,omitempty"`
	Compression string          `json:"compression,omitempty"`
	Target      BackupTarget    `json:"target"`
	Keep        BackupRetention `json:"keep"`
	Passphrase  *string         `json:"passphrase,omitempty"`
	Suspended   bool            `json:"suspended,omitempty"`
	Timeout     string          `json:"timeout,omitempty"`
}

// BackupTarget is where backups go: of Type "directory" with Path, or "s3" with the rest.
type BackupTarget struct {
	Type            string `json:"type"`
	Path            string `json:"path,omitempty"`
	Bucket          string `json:"bucket,omitempty"`
	Prefix          string `json:"prefix,omitempty"`
	Endpoint        string `json:"endpoint,omitempty"`
	Region          string `json:"region,omitempty"`
	AccessKeyID     string `json:"access_key_id,omitempty"`
	SecretAccessKey string `json:"secret_access_key,omitempty"`
}

// BackupRetention says what is kept: the newest Count, none older than Age.
type BackupRetention struct {
	Count int    `json:"count,omitempty"`
	Age   string `json:"age,omitempty"`
}

// BackupSchedule is one schedule; Spec and Last only come with the details.
type BackupSchedule struct {
	Name          string        `json:"name"`
	Namespace     string        `json:"namespace"`
	Volume        string        `json:"volume"`
	Schedule      string        `json:"schedule"`
	TimeZone      string        `json:"time_zone"`
	Target        string        `json:"target"`
	Encrypted     bool          `json:"encrypted"`
	Suspended     bool          `json:"suspended"`
	Status        string        `json:"status"`
	RunningSince  *time.Time    `json:"running_since"`
	LastSuccessAt *time.Time    `json:"last_success_at"`
	LastStored    *string       `json:"last_stored"`
	LastError     *string       `json:"last_error"`
	Failures      int           `json:"failures"`
	Skipped       string        `json:"skipped"`
	NextBackupAt  *time.Time    `json:"next_backup_at"`
	CreatedAt     time.Time     `json:"created_at"`
	UpdatedAt     time.Time     `json:"updated_at"`
	Last          *BackupResult `json:"last"`
	Spec          *BackupSpec   `json:"spec"`
}

// BackupResult is how one backup ended: under which name it is Stored, or in Message why not.
type BackupResult struct {
	Number     int       `json:"number"`
	NodeID     string    `json:"node_id"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Status     string    `json:"status"`
	Stored     string    `json:"stored"`
	Bytes      int64     `json:"bytes"`
	Deleted    int       `json:"deleted"`
	Message    string    `json:"message"`
}

// BackupStarted answers the number of the backup that begins.
type BackupStarted struct {
	Name    string `json:"name"`
	Number  int    `json:"number"`
	Message string `json:"message"`
}

// StoredBackup is one backup that is there.
type StoredBackup struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// StoredSource says which backup a volume is restored from; without Backup the newest of the schedule.
type StoredSource struct {
	Schedule string `json:"schedule"`
	Backup   string `json:"backup,omitempty"`
	Node     string `json:"node,omitempty"`
}
