package sandbox

// Files beside the booking database that a recovery of it needs.
const (
	RegisterName = "erasures.jsonl"   // who asked to be forgotten, one a line
	LogName      = "recovery-log.sql" // what was executed, with times
)

// registerText is somebody who was erased long ago and is in no backup.
const registerText = `{"time": "2025-03-04T10:12:00Z", "subject": "900001", "by": "privacy@company.example"}
`

// logText says how a log looks.
const logText = `-- What the booking app has executed, for a recovery to a time. Each transaction stands
-- below the time at which it was committed.
`
