package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// checkpoint is how large the state gets before the broker shortens it: so small that it is
// killed in the middle of that, too.
const checkpoint = 64 << 10

// process is the broker under test, one life after the other. Only its owner uses it.
type process struct {
	binary  string
	dir     string // the configuration, the log, and the state in a directory below
	address string

	cmd     *exec.Cmd
	exited  chan struct{} // closed when the present life has ended
	started time.Time
	lives   int
}

// newProcess writes the configuration of a broker on a free port of this machine.
func newProcess(binary, dir string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	p := &process{binary: binary, dir: dir, address: fmt.Sprintf("127.0.0.1:%d", port)}
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o755); err != nil {
		return nil, err
	}
	// Nothing may be dropped for want of room: every loss has to be the broker's.
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n"+
		"max_queued_messages 0\nmax_queued_bytes 0\nconnection_messages false\n"+
		"colibri_checkpoint %d\nlog_type error\nlog_type warning\nlog_type notice\nlog_type debug\n", port, state, checkpoint)
	return p, os.WriteFile(p.configuration(), []byte(text), 0o644)
}

func (p *process) configuration() string { return filepath.Join(p.dir, "broker.conf") }

func (p *process) log() string { return filepath.Join(p.dir, "broker.log") }

// checkpoints returns how often the broker has shortened its state, as it says.
func (p *process) checkpoints() (int, error) {
	text, err := os.ReadFile(p.log())
	return strings.Count(string(text), "log was shortened"), err
}

// start begins the next life.
func (p *process) start() error {
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the broker has a descriptor of its own
	p.lives++
	fmt.Fprintf(log, "--- start %d\n", p.lives)
	cmd := exec.Command(p.binary, "broker", "-c", p.configuration())
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	p.cmd, p.exited, p.started = cmd, exited, time.Now()
	return nil
}

// end sends a signal to the process and waits until it has ended, by SIGKILL if need be.
func (p *process) end(signal os.Signal) {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(signal)
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		p.cmd.Process.Signal(syscall.SIGKILL)
		<-p.exited
	}
	p.cmd = nil
}

// state says how the process has ended.
func (p *process) state() string { return p.cmd.ProcessState.String() }

// firstConnack returns how long after its start the broker let a client in.
func (p *process) firstConnack(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, restartTime)
	defer cancel()
	for {
		if p.letsIn() {
			return time.Since(p.started), nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-p.exited:
			return 0, fmt.Errorf("the broker ended by itself: %s", p.state())
		case <-time.After(time.Millisecond):
		}
	}
}

// restartTime is how long a broker may take until its first CONNACK.
const restartTime = 60 * time.Second

// letsIn tries a connection.
func (p *process) letsIn() bool {
	nc, err := net.DialTimeout("tcp", p.address, time.Second)
	if err != nil {
		return false
	}
	defer nc.Close()
	connect := &packet.Connect{Version: colibri.V311, CleanStart: true, ClientID: "crash-first"}
	_, _, err = exchange(nc, connect)
	return err == nil
}

// retained asks the broker for its Retained Messages, by topic.
func retained(ctx context.Context, address string) (map[string]messageID, error) {
	connect := &packet.Connect{Version: colibri.V311, CleanStart: true, ClientID: "crash-retained"}
	nc, in, _, err := open(ctx, address, connect)
	if err != nil {
		return nil, err
	}
	defer hangUp(nc, in)
	subscribe := &packet.Subscribe{PacketID: 1, Subscriptions: []colibri.Subscription{{Filter: "crash/#", QoS: colibri.AtLeastOnce}}}
	b, err := packet.Append(nil, subscribe, colibri.V311)
	if err != nil {
		return nil, err
	}
	if err := write(nc, b); err != nil {
		return nil, err
	}
	found := map[string]messageID{}
	answered := false
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * time.Second):
			if !answered {
				return nil, fmt.Errorf("no SUBACK for the Retained Messages")
			}
			return found, nil // nothing more has come for long
		case received, ok := <-in:
			if !ok {
				return nil, errEnded
			}
			switch p := received.(type) {
			case *packet.Suback:
				answered = true
			case *packet.Publish:
				if !p.Retain {
					continue
				}
				id, err := readPayload(p.Payload)
				if err != nil {
					return nil, fmt.Errorf("the Retained Message of %s: %w", p.Topic, err)
				}
				found[p.Topic] = id
				if p.QoS == colibri.AtLeastOnce {
					if b, err = packet.Append(b[:0], &packet.Puback{PacketID: p.PacketID}, colibri.V311); err != nil {
						return nil, err
					}
					if err := write(nc, b); err != nil {
						return nil, err
					}
				}
			}
		}
	}
}
