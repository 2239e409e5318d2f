package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
)

// dumps writes what the flight recorder has of a client whose connection has ended otherwise
// than by its DISCONNECT, each into a file of its own (colibri_recorder_dumps).
type dumps struct {
	dir   string
	log   *brokerLog
	wants chan string // Client Identifiers
	done  chan struct{}
}

const (
	dumpFiles  = 64          // that are kept; the oldest is removed
	dumpPause  = time.Second // between two files at least
	dumpQueue  = 4           // ends that wait for their file; of more there is none
	dumpPrefix = "colibri-"
	dumpSuffix = ".pcapng"
)

// openDumps makes the directory and starts the goroutine that writes; nil when it is not asked
// for.
func (s *brokerServer) openDumps() (*dumps, error) {
	dir := s.config.Own.RecorderDumps
	if dir == "" || s.config.Own.Recorder == 0 {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory of colibri_recorder_dumps cannot be made: %w", err)
	}
	return &dumps{dir: dir, log: s.log, wants: make(chan string, dumpQueue), done: make(chan struct{})}, nil
}

// event asks for a file when e is such an end. It does not block.
func (d *dumps) event(e broker.Event) {
	if d == nil {
		return
	}
	end, ok := e.(broker.Disconnected)
	if !ok || end.Err == nil || end.Code == colibri.ServerShuttingDown || end.Code == colibri.UseAnotherServer {
		return
	}
	select {
	case d.wants <- strings.Clone(end.Client.ClientID):
	default:
	}
}

// run writes the files until close is called.
func (d *dumps) run(b *broker.Broker) {
	if d == nil {
		return
	}
	failed := false
	for {
		var client string
		select {
		case <-d.done:
			return
		case client = <-d.wants:
		}
		file, err := d.write(b, client)
		if err != nil && !failed {
			d.log.printf(logWarning, "What the flight recorder has of a client cannot be written: %v.", err)
		}
		if failed = err != nil; !failed {
			d.log.connection("What the flight recorder has of %s is in %s.", shown(client), file)
		}
		select {
		case <-d.done:
			return
		case <-time.After(dumpPause):
		}
	}
}

// close ends run.
func (d *dumps) close() {
	if d != nil {
		close(d.done)
	}
}

// write writes one file, and removes the oldest ones.
func (d *dumps) write(b *broker.Broker, client string) (name string, err error) {
	name = dumpPrefix + time.Now().UTC().Format("20060102T150405.000") + "-" + fileWord(client) + dumpSuffix
	file, err := os.OpenFile(filepath.Join(d.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	err = writeRecording(b, file, func(c *broker.TracedConnection) bool { return c.Client.ClientID == client }, &captureLimits{})
	if failed := file.Close(); err == nil {
		err = failed
	}
	if err != nil {
		os.Remove(file.Name())
		return "", err
	}
	return file.Name(), d.prune()
}

// prune removes the oldest files, which have the smallest names.
func (d *dumps) prune() error {
	all, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	var names []string
	for _, one := range all {
		if name := one.Name(); strings.HasPrefix(name, dumpPrefix) && strings.HasSuffix(name, dumpSuffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names[:max(0, len(names)-dumpFiles)] {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// fileWord returns a Client Identifier as a part of a file's name.
func fileWord(clientID string) string {
	word := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, clientID)
	return word[:min(len(word), 40)]
}
