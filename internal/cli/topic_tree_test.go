package cli

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/topics"
)

// newTreeBroker starts a broker in this process that commands find by their options file,
// and to which they come back soon.
func newTreeBroker(t *testing.T) *script {
	t.Helper()
	usual := retry
	retry = &client.Backoff{Min: 20 * time.Millisecond, Max: 100 * time.Millisecond}
	t.Cleanup(func() { retry = usual })
	s := &script{t: t, running: map[string]*process{}}
	s.changed = sync.NewCond(&s.mu)
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// end waits for the end of a command and returns what it has printed.
func (s *script) end(p *process) (exit int, stdout, stderr string) {
	s.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		s.t.Fatal("the command does not end")
	}
	return p.exit, p.stdout.String(), p.stderr.String()
}

// publish keeps payload as the Retained Message of topic.
func (s *script) publish(topic, payload string, flags ...string) {
	s.t.Helper()
	if exit, _, stderr := call(s.t, append([]string{"colibri", "pub", "-q", "1", "-t", topic, "-m", payload}, flags...)...); exit != 0 {
		s.t.Fatalf("publish to %s: exit code %d, %s", topic, exit, stderr)
	}
}

// changing are the parts of a snapshot that differ from run to run.
var changing = regexp.MustCompile(` +[0-9]+s |in [0-9.]+ s, [0-9<.]+ a second|" *[0-9.<]+ "`)

func TestTopicTreeSnapshot(t *testing.T) {
	s := newTreeBroker(t)
	s.publish("maison/salon/temperature", "21.5", "-r")
	s.publish("maison/salon", "{\"a\":\n1}", "-r")
	s.publish("maison/evil\x1b[2J", "\x1b]0;title\a", "-r")
	s.publish("maison/hidden/x", "1", "-r")
	exit, stdout, stderr := s.end(s.launch([]string{"topic", "tree", "-C", "3", "-T", "maison/hidden/#", "maison/#"}))
	want := `topic           R   msg/s   count   age  value
maison                  0                3 topics
  evil␛[2J      R       0       1 AGE  0x1b5d303b7469746c6507
  salon         R       0       1 AGE  {"a": 1}
    temperature R       0       1 AGE  21.5
3 topics, 3 messages IN TIME.
`
	got := changing.ReplaceAllStringFunc(stdout, func(text string) string {
		if strings.HasSuffix(text, "second") {
			return "IN TIME"
		}
		return " AGE "
	})
	if diff := cmp.Diff(want, got); diff != "" || exit != 0 || stderr != "" {
		t.Errorf("exit code %d, standard error %q (-want +got):\n%s", exit, stderr, diff)
	}
}

func TestTopicTreeJSON(t *testing.T) {
	s := newTreeBroker(t)
	s.publish("a/b", "text", "-r")
	s.publish("a/c", "\x01\x02", "-r")
	s.publish("a/d", "x", "-r")
	for _, version := range []string{"5", "311"} {
		exit, stdout, stderr := s.end(s.launch([]string{"topic", "tree", "--json", "-C", "3", "--max-topics", "2", "-V", version, "a/#"}))
		var got struct {
			Filters                   []string
			Connected                 bool
			Topics, Messages, Dropped int
			MoreTopics                int `json:"more_topics"`
			MoreMessages              int `json:"more_messages"`
			List                      []struct {
				Topic, Hex string
				Text       *string
				Retained   bool
				Count      int
			}
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || exit != 0 || stderr != "" {
			t.Fatalf("got exit code %d, %v, %s and %s", exit, err, stdout, stderr)
		}
		if len(got.Filters) != 1 || !got.Connected || got.Topics != 2 || got.Messages != 3 || got.MoreTopics != 1 || got.MoreMessages != 1 || len(got.List) != 2 {
			t.Errorf("-V %s: got %+v", version, got)
		}
		for _, topic := range got.List {
			if !topic.Retained || topic.Count != 1 || (topic.Text == nil) == (topic.Hex == "") {
				t.Errorf("-V %s: got %+v", version, topic)
			}
		}
	}
}

// TestTopicTreeEmpty shows that nothing that comes is said, and that it is no mistake.
func TestTopicTreeEmpty(t *testing.T) {
	s := newTreeBroker(t)
	exit, stdout, stderr := s.end(s.launch([]string{"topic", "tree", "-W", "1", "nothing"}))
	if exit != 0 || !strings.HasPrefix(stdout, "0 topics, 0 messages in ") || !strings.HasPrefix(stderr, "Nothing has come for 'nothing': ") {
		t.Errorf("got exit code %d, %q and %q", exit, stdout, stderr)
	}
}

// TestTopicTreeSurvivesLoss shows that a lost connection is told, and comes back.
func TestTopicTreeSurvivesLoss(t *testing.T) {
	s := newTreeBroker(t)
	p := s.launch([]string{"topic", "tree", "--json", "-C", "2", "#"})
	s.ready(p)
	s.publish("a", "before")
	s.stop()
	s.start()
	s.ready(p)
	s.publish("b", "after")
	exit, stdout, stderr := s.end(p)
	want := "The connection to the broker was lost; trying again until it is back.\nThe connection to the broker is back.\n"
	if exit != 0 || stderr != want || !strings.Contains(stdout, `"text":"before"`) || !strings.Contains(stdout, `"text":"after"`) {
		t.Errorf("got exit code %d, %s and %q, want %q", exit, stdout, stderr, want)
	}
}

// TestTopicTreeRefused shows the ends that a server brings about.
func TestTopicTreeRefused(t *testing.T) {
	s := newTreeBroker(t)
	for _, test := range []struct {
		args   string
		exit   int
		stdout string
		stderr string
	}{
		{"secret/x", 135, "", "All subscription requests were denied.\nthis client may not subscribe to this filter\n"},
		{"-u mallory", 135, "", "Connection error: Not authorized\n"},
		{"--max-topics 1 -C 1 secret/x open", 0, "1 topic, 1 message in ", "Warning: The server refuses the filter 'secret/x': Not authorized.\n"},
	} {
		s.publish("open", "x", "-r")
		exit, stdout, stderr := s.end(s.launch(append([]string{"topic", "tree"}, strings.Fields(test.args)...)))
		if exit != test.exit || !strings.Contains(stdout, test.stdout) || stderr != test.stderr {
			t.Errorf("%s: got exit code %d, %q and %q, want %d and %q", test.args, exit, stdout, stderr, test.exit, test.stderr)
		}
	}
	s.stop()
	exit, _, stderr := s.end(s.launch([]string{"topic", "tree", "x"}))
	if exit != 1 || !strings.Contains(stderr, "Nothing listens on 127.0.0.1") {
		t.Errorf("without a broker: got exit code %d and %q", exit, stderr)
	}
	s.start()
}

// TestTopicTreeCountsKeptMessagesOnce shows that what a new connection sends again is no
// rate, and what is published with RETAIN is one.
func TestTopicTreeCountsKeptMessagesOnce(t *testing.T) {
	link := &treeLink{}
	link.trace(client.Event{Kind: client.Connected})
	run := &topicTreeRun{session: &session{options: newOptions(topicTree)}, link: link, live: topics.NewLive(1, time.Now(), true), connection: 1}
	kept := &client.Message{Message: colibri.Message{Topic: "a", Payload: []byte("x"), Retain: true}}
	run.take(kept)
	link.trace(client.Event{Kind: client.Lost})
	if _, away := link.now(); !away {
		t.Error("a lost connection is not away")
	}
	link.trace(client.Event{Kind: client.Connected})
	run.take(kept)
	if got := run.live.Topics(time.Now())[0]; got.Rate != 0 || got.Count != 2 {
		t.Errorf("after a reconnect: got %+v, want rate 0, count 2", got)
	}
	run.take(kept)
	if got := run.live.Topics(time.Now())[0]; got.Rate == 0 {
		t.Error("a message that is published with RETAIN has no rate")
	}
}
