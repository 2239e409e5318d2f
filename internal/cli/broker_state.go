package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/disk"
	"github.com/colibri-mqtt/colibri/internal/wal"
)

// stateSync is how long what is acknowledged may be only in the memory of the system with
// colibri_sync interval.
const stateSync = time.Second

// openState opens the log in the directory that c names; nil without persistence.
func openState(c *config.Config) (*disk.Log, string, error) {
	if c.Persistence != config.Yes {
		return nil, "", nil
	}
	dir, err := stateDirectory(c)
	if err != nil {
		return nil, "", err
	}
	o := wal.Options{QuotaBytes: int64(c.Own.StateQuota)}
	if c.Own.Sync == "interval" {
		o.SyncInterval = stateSync
	}
	l, err := disk.Open(dir, o)
	if err != nil {
		if locked, ok := errors.AsType[*wal.LockedError](err); ok {
			return nil, "", fmt.Errorf("another broker (process %d) keeps its state in %s: stop it, or give this one another persistence_location", locked.PID, dir)
		}
		return nil, "", fmt.Errorf("the state in %s cannot be opened: %w", dir, err)
	}
	return l, dir, nil
}

// stateDirectory returns where the state lies: a directory of our own in the
// persistence_location, or in the user's directory for states.
func stateDirectory(c *config.Config) (string, error) {
	location := c.PersistenceLocation
	if from := os.Getenv("MOSQUITTO_PERSISTENCE_LOCATION"); from != "" {
		location = from
	}
	if location == "" {
		if location = os.Getenv("XDG_STATE_HOME"); location == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("no place for the state: %w; write a persistence_location", err)
			}
			location = filepath.Join(home, ".local", "state")
		}
	}
	return filepath.Abs(filepath.Join(location, "colibri"))
}
