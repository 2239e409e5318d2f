package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

// remote drives a library of another language through a small program of ours
// that reads one JSON object per line on standard input and answers likewise:
//
//	{"id": 1, "do": "connect", "connection": "c1", "with": {"port": 20001, …}}
//	{"id": 1, "session_present": false, "code": 0}         the answer, or {"id": 1, "error": "…"}
//	{"connection": "c1", "message": {"topic": …}}          a message that arrived
//	{"connection": "c1", "closed": true, "code": 142}      the connection ended
//
// Requests are made by one goroutine at a time; one more reads the answers and
// ends with the program.
type remote struct {
	program *program
	last    int // identifier of the last request
	answers chan remoteLine
	inboxes chan map[string]*inbox // holds the map while nobody uses it
}

// remoteLine is what a program prints: an answer, a message or an end.
type remoteLine struct {
	ID         int      `json:"id"`
	Error      string   `json:"error"`
	Connection string   `json:"connection"`
	Message    *message `json:"message"`
	Closed     bool     `json:"closed"`
	connack
}

func openRemote(t *testing.T, interpreter, script string) driver {
	t.Helper()
	d := &remote{
		program: start(t, interpreter, script),
		answers: make(chan remoteLine, 1), inboxes: make(chan map[string]*inbox, 1),
	}
	d.inboxes <- map[string]*inbox{}
	go d.read()
	return d
}

// read hands each line to who waits for it, until the program ends.
func (d *remote) read() {
	defer close(d.answers)
	for {
		text, err := d.program.stdout.nextLine(nil)
		if err != nil {
			return
		}
		var line remoteLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			d.answers <- remoteLine{Error: fmt.Sprintf("not a line of the protocol: %q", text)}
			return
		}
		if line.ID != 0 {
			d.answers <- line
			continue
		}
		inboxes := <-d.inboxes
		box := inboxes[line.Connection]
		d.inboxes <- inboxes
		if line.Message != nil {
			box.put(*line.Message)
		}
		if line.Closed {
			box.end(line.Code)
		}
	}
}

// ask sends a request and waits for its answer.
func (d *remote) ask(do, connection string, with any) (remoteLine, error) {
	d.last++
	b, err := json.Marshal(map[string]any{"id": d.last, "do": do, "connection": connection, "with": with})
	if err != nil {
		return remoteLine{}, err
	}
	if _, err := d.program.stdin.Write(append(b, '\n')); err != nil {
		return remoteLine{}, err
	}
	select {
	case answer, ok := <-d.answers:
		switch {
		case !ok:
			return answer, fmt.Errorf("the program ended: %s", d.program.stderr)
		case answer.Error != "":
			return answer, errors.New(answer.Error)
		case answer.ID != d.last:
			return answer, fmt.Errorf("answer to request %d, want %d", answer.ID, d.last)
		}
		return answer, nil
	case <-time.After(patience):
		return remoteLine{}, fmt.Errorf("no answer to %s", b)
	}
}

type remoteConnection struct {
	driver   *remote
	name     string
	received *inbox
}

func (d *remote) connect(o connectOptions) (connection, connack, error) {
	c := &remoteConnection{driver: d, name: fmt.Sprintf("c%d", d.last+1), received: newInbox()}
	inboxes := <-d.inboxes
	inboxes[c.name] = c.received
	d.inboxes <- inboxes
	answer, err := d.ask("connect", c.name, o)
	return c, answer.connack, err
}

func (c *remoteConnection) subscribe(s subscription) (int, error) {
	answer, err := c.driver.ask("subscribe", c.name, s)
	return answer.Code, err
}

func (c *remoteConnection) unsubscribe(filter string) (int, error) {
	answer, err := c.driver.ask("unsubscribe", c.name, subscription{Filter: filter})
	return answer.Code, err
}

func (c *remoteConnection) publish(m message) (int, error) {
	answer, err := c.driver.ask("publish", c.name, m)
	return answer.Code, err
}

func (c *remoteConnection) disconnect(code byte) error {
	_, err := c.driver.ask("disconnect", c.name, map[string]byte{"code": code})
	return err
}

func (c *remoteConnection) abort() error {
	_, err := c.driver.ask("abort", c.name, nil)
	return err
}

func (c *remoteConnection) inbox() *inbox { return c.received }
