package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/wal"
	"github.com/colibri-mqtt/colibri/packet"
)

// failingFS is the operating system's file system until it is told to fail.
type failingFS struct {
	wal.FS
	mu    sync.Mutex
	write error // of all writes from now on
	sync  error // of all syncs
	open  error // of all that opens or creates for writing
	make  error // of MakeDir
}

func newFailingFS() *failingFS { return &failingFS{FS: wal.System()} }

func (f *failingFS) fail(what *error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*what = err
}

func (f *failingFS) failure(what *error, op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *what == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: name, Err: *what}
}

func (f *failingFS) MakeDir(dir string) error {
	if err := f.failure(&f.make, "mkdir", dir); err != nil {
		return err
	}
	return f.FS.MakeDir(dir)
}

func (f *failingFS) Open(name string, flag int) (wal.File, error) {
	if flag&(os.O_RDWR|os.O_CREATE) != 0 {
		if err := f.failure(&f.open, "open", name); err != nil {
			return nil, err
		}
	}
	file, err := f.FS.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return &failingFile{file, f, name}, nil
}

func (f *failingFS) Lock(name string) (io.Closer, error) {
	if err := f.failure(&f.open, "open", name); err != nil {
		return nil, err
	}
	return f.FS.Lock(name)
}

type failingFile struct {
	wal.File
	fs   *failingFS
	name string
}

func (f *failingFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.fs.failure(&f.fs.write, "write", f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, at)
}

func (f *failingFile) Sync() error {
	if err := f.fs.failure(&f.fs.sync, "sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

// lasting asks for a Session that outlives its connection.
func lasting(c *packet.Connect) {
	c.CleanStart = false
	if c.Version == colibri.V5 {
		c.Properties = append(c.Properties, colibri.Property{ID: colibri.SessionExpiryInterval, Number: 1000})
	}
}

func numbered(id uint16, payload string) *packet.Publish {
	return &packet.Publish{Topic: "a", Payload: []byte(payload), QoS: 1, PacketID: id}
}

// mustOpen opens a log in the bubble of a scenario.
func mustOpen(t testing.TB, dir string, o wal.Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// subscriber makes a Session that waits for a, with nobody connected.
func subscriber(scene *mqtest.Scene) {
	scene.Helper()
	p := scene.Connect("subscriber", lasting)
	p.Send(&packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "a", QoS: 1}}})
	p.Expect(&packet.Suback{PacketID: 1, Codes: []colibri.ReasonCode{1}})
	p.Disconnect()
}

// TestDiskFails covers a disk that is full, or does not sync: from then on nothing is
// acknowledged, everybody is disconnected and nobody served, and the command is told why.
// What was acknowledged before is there when the disk has recovered.
func TestDiskFails(t *testing.T) {
	for _, test := range []struct {
		name string
		what func(f *failingFS) *error
		err  error
		text string
	}{
		{"the disk is full", func(f *failingFS) *error { return &f.write }, syscall.ENOSPC,
			"write DIR/0000000001.wal: no space left on device: make room on the disk and start again"},
		{"a sync fails", func(f *failingFS) *error { return &f.sync }, syscall.EIO, "sync DIR/0000000001.wal: input/output error"},
	} {
		mqtest.Run(t, test.name, mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
			dir := scene.TempDir()
			fs := newFailingFS()
			failed := make(chan error, 2)
			log := mustOpen(scene, dir, wal.Options{FS: fs})
			scene.Use(mqtest.New(scene, broker.Config{Log: log, LogFailed: func(err error) { failed <- err }}))
			subscriber(scene)
			other := scene.Connect("other")
			third := scene.Connect("third")
			other.Send(numbered(1, "before"))
			other.Expect(&packet.Puback{PacketID: 1})

			fs.fail(test.what(fs), test.err)
			other.Send(numbered(2, "after"), numbered(3, "after"))
			other.ExpectEnded(colibri.UnspecifiedError)
			third.ExpectEnded(colibri.UnspecifiedError)
			late := scene.Dial()
			late.Send(late.NewConnect("late"))
			for _, got := range late.Received() {
				if connack, ok := got.(*packet.Connack); !ok || connack.Code == colibri.Success {
					scene.Errorf("somebody who comes later: got %v, want no CONNACK that accepts", got)
				}
			}
			synctest.Wait()
			select {
			case err := <-failed:
				want := "the log has stopped and records nothing more: " + strings.ReplaceAll(test.text, "DIR", dir)
				if !errors.Is(err, test.err) || err.Error() != want {
					scene.Errorf("LogFailed: got %v\nwant %s", err, want)
				}
			default:
				scene.Error("LogFailed was not called")
			}
			if len(failed) > 0 {
				scene.Error("LogFailed was called twice")
			}
			if err := log.Close(); !errors.Is(err, test.err) {
				scene.Errorf("Close: got %v, want what has failed", err)
			}

			fs.fail(test.what(fs), nil)
			scene.Broker.Shutdown(scene.Context()) // it fails like Close
			scene.Broker = mqtest.New(scene, broker.Config{Log: mustOpen(scene, dir, wal.Options{FS: fs})})
			p := scene.Connect("subscriber", lasting)
			if got := p.Received(); len(got) == 0 || string(got[0].(*packet.Publish).Payload) != "before" {
				scene.Errorf("after the restart: got %v, want what was acknowledged", got)
			}
		})
	}
}

// TestQuota covers a state that has reached its quota: who wants more recorded is refused
// with Quota exceeded, or closed if that cannot be said, the others are served, and when the messages have been
// taken and the log was shortened, there is room again, also after a restart.
func TestQuota(t *testing.T) {
	for _, restart := range []bool{false, true} {
		mqtest.Run(t, fmt.Sprintf("restart %v", restart), mqtest.Modern, broker.Config{}, func(scene *mqtest.Scene) {
			const quota = 64 << 10
			dir := scene.TempDir()
			start := func() *broker.Broker {
				return mqtest.New(scene, broker.Config{Log: mustOpen(scene, dir, wal.Options{SegmentBytes: quota / 8}), LogQuota: quota, CheckpointBytes: quota / 4,
					LogFailed: func(err error) { scene.Errorf("LogFailed: %v", err) }})
			}
			scene.Use(start())
			subscriber(scene)
			quiet := scene.Connect("quiet")
			payload := strings.Repeat("x", 1000)

			// fill publishes until the Log takes no more, and returns how many it has taken.
			fill := func() (taken int) {
				scene.Helper()
				p := scene.Connect("publisher")
				for id := uint16(1); id < 200; id++ {
					p.Send(numbered(id, payload))
					got := p.Received()
					if len(got) == 1 && got[0].Type() == packet.PUBACK {
						if got[0].(*packet.Puback).Code == colibri.QuotaExceeded {
							p.Disconnect()
							return taken
						}
						taken++
						continue
					}
					if len(got) > 0 {
						scene.Fatalf("message %d: got %v, want the connection closed", id, got)
					}
					p.ExpectClosed()
					return taken
				}
				scene.Fatal("the quota was never reached")
				return 0
			}
			if taken := fill(); taken < 20 {
				scene.Errorf("got %d messages of 1 kB taken, want some 40", taken)
			}
			for range 30 { // and it stays so while nothing is taken
				time.Sleep(time.Second)
				fill()
			}
			quiet.Ping()
			if none := scene.Dial(); true { // nor is there room for another Session that lasts
				none.Send(none.NewConnect("none", lasting))
				if got := none.Received(); len(got) != 1 || got[0].(*packet.Connack).Code == colibri.Success {
					scene.Errorf("a new Session: got %v, want a CONNACK that refuses", got)
				}
			}
			if restart {
				if err := scene.Broker.Shutdown(scene.Context()); err != nil {
					scene.Errorf("Shutdown: %v", err)
				}
				scene.Use(start())
			}
			p := scene.Connect("subscriber", lasting)
			taken := 0
			for {
				got := p.Received()
				if len(got) == 0 {
					break
				}
				for _, m := range got {
					taken++
					publish, ok := m.(*packet.Publish)
					if !ok {
						scene.Fatalf("the subscriber got %v after %d messages", m, taken)
					}
					p.Send(&packet.Puback{PacketID: publish.PacketID})
				}
			}
			if taken < 20 {
				scene.Errorf("the subscriber got %d messages", taken)
			}
			p.Disconnect()
			publisher := scene.Connect("again")
			publisher.Send(numbered(1, payload)) // may be refused
			time.Sleep(3 * time.Second)
			if taken := fill(); taken < 20 {
				scene.Errorf("after all was taken: got %d messages taken, want some 40", taken)
			}
			if files, err := filepath.Glob(filepath.Join(dir, "*.wal")); err != nil || len(files) > 12 {
				scene.Errorf("got %d files (%v), want no more than for twice the quota", len(files), err)
			}
		})
	}
}

// TestDirectory covers directories that cannot be a log's.
func TestDirectory(t *testing.T) {
	for _, test := range []struct {
		name string
		what func(f *failingFS) *error
		err  error
		text string
	}{
		{"a file system that can only be read", func(f *failingFS) *error { return &f.open }, syscall.EROFS,
			"open log: open DIR/lock: read-only file system: the file system can only be read; mount it for writing or use another directory"},
		{"a directory that this user may only read", func(f *failingFS) *error { return &f.open }, syscall.EACCES,
			"open log: open DIR/lock: permission denied: give this user the directory and its files, for reading and writing"},
		{"a directory that cannot be made", func(f *failingFS) *error { return &f.make }, syscall.EACCES,
			"open log: mkdir DIR: permission denied: give this user the directory and its files, for reading and writing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			fs := newFailingFS()
			fs.fail(test.what(fs), test.err)
			_, err := Open(dir, wal.Options{FS: fs})
			if want := strings.ReplaceAll(test.text, "DIR", dir); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			fs.fail(test.what(fs), nil)
			if err := mustOpen(t, dir, wal.Options{FS: fs}).Close(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
