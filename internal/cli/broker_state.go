package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/disk"
	"github.com/colibri-mqtt/colibri/internal/wal"
)

// stateSync is how long what is acknowledged may be only in the memory of the system with
// colibri_sync interval.
const stateSync = time.Second

// checkpointBytes returns how large the log gets before it is shortened.
func checkpointBytes(o config.Own) int64 {
	if o.StateQuota > 0 {
		return int64(min(o.Checkpoint, o.StateQuota/4))
	}
	return int64(o.Checkpoint)
}

// segmentBytes returns the size of the files: the log is shortened by whole ones.
func segmentBytes(o config.Own) int64 { return max(4<<10, min(checkpointBytes(o)/3, 16<<20)) }

// openState opens the log in the directory where this broker keeps its state; nil when it
// keeps none. why says why it does not, if nobody has asked for that.
func (s *brokerServer) openState() (l *disk.Log, why string, err error) {
	c := s.config
	if !s.wantsState() {
		return nil, "", nil
	}
	dir, err := s.stateDirectory()
	switch {
	case err != nil:
		return nil, "", err
	case dir == "":
		return nil, ", as its port changes with each start", nil
	}
	s.stateDir = dir
	o := wal.Options{SegmentBytes: segmentBytes(c.Own)}
	if c.Own.Sync == "interval" {
		o.SyncInterval = stateSync
	}
	l, err = disk.Open(s.stateDir, o)
	if err != nil {
		if locked, ok := errors.AsType[*wal.LockedError](err); ok {
			return nil, "", fmt.Errorf("another broker (%s) keeps its state in %s: stop it, or give this one another persistence_location", locked.Holder(), dir)
		}
		return nil, "", fmt.Errorf("the state in %s cannot be opened: %w%s", dir, err, s.account.advice(err))
	}
	return l, "", nil
}

// wantsState reports whether this broker keeps a state: as the manual of Mosquitto says,
// only when asked to if it is called by that name.
func (s *brokerServer) wantsState() bool {
	return s.config.Persistence == config.Yes || s.config.Persistence == config.Unset && !s.env.mosquitto
}

// stateName returns the name of the directory, below the location; empty for none, as the
// port changes with each start.
func (s *brokerServer) stateName() string {
	if s.config.PersistenceLocation != "" || s.config.Persistence != config.Unset {
		return "colibri"
	}
	port := s.statePort()
	if port == 0 {
		return ""
	}
	return filepath.Join("colibri", strconv.Itoa(port)) // two brokers on one machine need two
}

// statePort returns the port after which the state is named: the first one. It is 0 when
// there is none, or any free port is taken.
func (s *brokerServer) statePort() int {
	if s.config.LocalOnly() {
		if len(s.options.ports) > 0 {
			return s.options.ports[0]
		}
		return 1883
	}
	for _, l := range s.config.Listeners {
		if l.Path == "" {
			return l.Port
		}
	}
	return 0
}

// stateDirectory returns where this broker keeps its state; empty when stateName is.
func (s *brokerServer) stateDirectory() (string, error) {
	name := s.stateName()
	if name == "" {
		return "", nil
	}
	home := ""
	if s.account != nil {
		home = s.account.home
	}
	return stateDirectory(s.config, name, home)
}

// stateDirectory returns the directory with that name in the persistence_location, or in
// the user's directory for states. home is the user's; when it is empty, the one of whoever
// runs this process.
func stateDirectory(c *config.Config, name, home string) (string, error) {
	location := c.PersistenceLocation
	if from := os.Getenv("MOSQUITTO_PERSISTENCE_LOCATION"); from != "" {
		location = from
	}
	if location == "" {
		if location = os.Getenv("XDG_STATE_HOME"); location == "" {
			if home == "" {
				var err error
				if home, err = os.UserHomeDir(); err != nil {
					return "", fmt.Errorf("no place for the state: %w; write a persistence_location", err)
				}
			}
			location = filepath.Join(home, ".local", "state")
		}
	}
	return filepath.Abs(filepath.Join(location, name))
}
