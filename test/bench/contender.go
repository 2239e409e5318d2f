package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contender is a broker under test.
type contender struct {
	name string
	// start returns the command that serves on a port of this machine.
	start func(dir string, port int) (*exec.Cmd, error)
}

func findMosquitto() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("mosquitto is not there to compare with; run test/interop/setup.sh")
}

func mosquittoVersion(program string) string {
	text, _ := exec.Command(program, "-h").Output()
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func colibriBroker(program string) contender {
	return contender{"Colibri", func(dir string, port int) (*exec.Cmd, error) {
		command := exec.Command(program, "broker", "-q", "-p", strconv.Itoa(port))
		command.Env = append(os.Environ(), "XDG_STATE_HOME="+dir)
		return command, nil
	}}
}

// mosquittoBroker runs as it comes but for more, without a log and with room in its
// queues for the whole window of the generator, as it drops what does not fit.
func mosquittoBroker(name, program, more string) contender {
	return configured(name, "max_queued_messages 0\n"+more, program, "-c")
}

// configured is a broker with lines in its file of options, whose name follows its arguments.
func configured(name, lines, program string, args ...string) contender {
	return contender{name, func(dir string, port int) (*exec.Cmd, error) {
		file := filepath.Join(dir, "broker.conf")
		text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nlog_dest none\n%s", port, lines)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		return exec.Command(program, append(slices.Clone(args), file)...), nil
	}}
}

// process is a broker that runs.
type process struct {
	command *exec.Cmd
	port    int
	said    bytes.Buffer
	ended   chan struct{} // closed when the process has ended, and said may be read
}

// launch starts the broker, with what it keeps in dir, and does not wait until it answers.
func (c *contender) launch(dir string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	command, err := c.start(dir, port)
	if err != nil {
		return nil, err
	}
	p := &process{command: command, port: port, ended: make(chan struct{})}
	command.Stderr = &p.said
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// serve starts the broker and returns when it answers.
func (c *contender) serve(dir string) (*process, error) {
	p, err := c.launch(dir)
	if err != nil {
		return nil, err
	}
	nc, err := p.dial(10 * time.Second)
	if err != nil {
		p.stop()
		return nil, err
	}
	nc.Close()
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// dial connects to the broker as soon as it listens.
func (p *process) dial(patience time.Duration) (net.Conn, error) {
	deadline := time.Now().Add(patience)
	for {
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
		if err == nil {
			return nc, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("the broker has ended: %s", p.said.String())
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("the broker does not answer: %w", err)
		}
	}
}

// stop ends the broker, by force if it takes more than a minute.
func (p *process) stop() {
	p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.command.Process.Kill()
		<-p.ended
	}
}

// tick is the unit of the times in /proc on Linux.
const tick = 10 * time.Millisecond

// cpu returns what the broker has used so far, in user mode and in the system, of all
// threads, in whole ticks.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name may hold spaces
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, errors.New("the times of the broker cannot be read")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, err
}

// memory returns a figure of the broker in bytes, such as VmRSS, what it has in memory
// now, or VmHWM, the most that it had.
func (p *process) memory(name string) (float64, error) { return memoryOf(p.pid(), name) }

// memoryOf is memory of any process.
func memoryOf(pid int, name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kilobytes * 1024, err
		}
	}
	return 0, fmt.Errorf("%s of the process %d cannot be read", name, pid)
}

// child returns the process that the broker has started.
func (p *process) child() (int, error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, entry := range all {
		text, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // it is no process, or has ended
		}
		_, after, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(p.pid()) {
			return strconv.Atoi(entry.Name())
		}
	}
	return 0, errors.New("the broker has started no process")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
