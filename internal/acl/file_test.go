package acl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri/topic"
)

const house = `# rules of a house
topic read public/#
topic read $SYS/broker/uptime

user anna
topic house/#
topic deny house/safe
topic read with space
topic write alarm/+/fire

user ben
topic read #
user anna
topic read late

pattern readwrite dev/%c/#
pattern write inbox/%u/+
pattern deny dev/%c/secret
pattern write $SYS/broker/connection/%c/state
pattern read room-%u/x
`

func readHouse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Read("acl.conf", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFile holds what each client may do, and which line says so.
func TestFile(t *testing.T) {
	f := readHouse(t, house)
	anna, ben, guest, eve := Client{ID: "c1", User: "anna"}, Client{ID: "c2", User: "ben"}, Client{ID: "c3"}, Client{ID: "c4", User: "eve"}
	for _, test := range []struct {
		who    Client
		action Action
		topic  string
		want   bool
		line   int // that decides; 0 for none
	}{
		{anna, Publish, "house/door", true, 6},
		{anna, Receive, "house", true, 6},
		{anna, Publish, "house/safe", false, 7},
		{anna, Receive, "house/safe", false, 7},
		{anna, Receive, "with space", true, 8},
		{anna, Publish, "with space", false, 0},
		{anna, Publish, "alarm/1/fire", true, 9},
		{anna, Receive, "alarm/1/fire", false, 0},
		{anna, Receive, "late", true, 14},
		{anna, Receive, "public/x", false, 0},
		{ben, Receive, "anything", true, 12},
		{ben, Publish, "anything", false, 0},
		{ben, Receive, "$SYS/broker/uptime", false, 0},
		{guest, Receive, "public", true, 2},
		{guest, Receive, "$SYS/broker/uptime", true, 3},
		{guest, Publish, "public/x", false, 0},
		{guest, Publish, "dev/c3/on", true, 16},
		{guest, Publish, "dev/c3/secret", false, 18},
		{guest, Publish, "inbox/c3/x", false, 0},
		{guest, Publish, "inbox//x", false, 0},
		{eve, Publish, "dev/c4/on", true, 16},
		{eve, Publish, "dev/c1/on", false, 0},
		{eve, Publish, "inbox/eve/x", true, 17},
		{eve, Receive, "inbox/eve/x", false, 0},
		{eve, Receive, "room-eve/x", true, 20},
		{eve, Publish, "$SYS/broker/connection/c4/state", true, 19},
		{eve, Publish, "$SYS/broker/connection/c1/state", false, 0},
		{ben, Receive, "dev/c2/secret", true, 12}, // the patterns come after the rules of the user
		{Client{ID: "#", User: "eve"}, Publish, "dev/c4/on", false, 0},
		{Client{ID: "c", User: "+"}, Publish, "inbox/eve/x", false, 0},
		{Client{ID: "+", User: "anna"}, Publish, "house/door", true, 6},
		{Client{ID: "%u", User: "anna"}, Publish, "dev/anna/on", false, 0}, // a name is not replaced again
		{Client{ID: "%u", User: "anna"}, Publish, "dev/%u/on", true, 16},
		{anna, Publish, "$share/g/house/door", false, 0},
		{eve, Subscribe, "#", true, 0},
	} {
		d, looked := f.Rights(test.who).Explain(test.action, test.topic)
		if d.Allowed != test.want || d.Rule.Line != test.line {
			t.Errorf("%+v %s %s: got %v by %s, want %v by line %d", test.who, test.action, test.topic, d.Allowed, d.Rule, test.want, test.line)
		}
		if last := looked[len(looked)-1]; last.Rule != d.Rule || !last.Decides {
			t.Errorf("%+v %s %s: the last rule looked at is %s, want the one that decides, %s", test.who, test.action, test.topic, last.Rule, d.Rule)
		}
	}
}

// TestFileShared shows that clients share what is the same for them.
func TestFileShared(t *testing.T) {
	f := readHouse(t, "topic read a\nuser anna\ntopic b\n")
	one, two := f.Rights(Client{ID: "1", User: "anna"}), f.Rights(Client{ID: "2", User: "anna"})
	if one != two {
		t.Error("two clients of one user have Rights of their own, want the same")
	}
	if f.Rights(Client{ID: "1", User: "x"}).Decide(Receive, "a").Allowed {
		t.Error("a user without rules has those of anonymous clients")
	}
}

// TestFileErrors holds the sentences about mistakes, with their lines.
func TestFileErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"topic", "acl.conf:1: a topic is missing behind 'topic'"},
		{"\n\ntopic readonly a", "acl.conf:3: 'readonly' is none of read, write, readwrite and deny; a topic with spaces needs one of them before it"},
		{"user", "acl.conf:1: a name is missing behind 'user'"},
		{"topics a", "acl.conf:1: 'topics' is none of user, topic and pattern, with one of which a line begins"},
		{" # x", "acl.conf:1: a comment has its '#' in the first column; move it there"},
		{"topic read a/#/b", "acl.conf:1: the topic is not one: "},
		{"topic " + strings.Repeat("a", lineBytes), "acl.conf:1: the line is longer than 131072 bytes"},
	} {
		_, err := Read("acl.conf", strings.NewReader(test.text))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%.40q: got %v, want %s", test.text, err, test.want)
		}
	}
}

// TestFileWarnings holds the lines about which a writer is warned.
func TestFileWarnings(t *testing.T) {
	f := readHouse(t, "topic read\npattern read a\ntopic read a/%u\ntopic read $share/g/a\ntopic read good\npattern %u\n")
	var got []int
	for _, w := range f.Warnings {
		got = append(got, w.Line)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4}, got); diff != "" {
		t.Errorf("lines with warnings (-want +got):\n%s", diff)
	}
}

// TestDecideAllocates holds that a decision costs no memory.
func TestDecideAllocates(t *testing.T) {
	r := readHouse(t, house).Rights(Client{ID: "c1", User: "anna"})
	if n := testing.AllocsPerRun(100, func() { r.Decide(Receive, "dev/c1/secret/none") }); n != 0 {
		t.Errorf("Decide allocates %v times, want 0", n)
	}
}

// FuzzFile holds that no file makes the reader fail in another way than with an error of
// its own, and that what was read decides about every topic, as Explain says.
func FuzzFile(f *testing.F) {
	f.Add(house, "anna", "c1", "house/safe")
	f.Add("pattern deny %c/#\npattern a%ub", "u", "#", "$SYS/x")
	f.Add("user  x y \ntopic  read  a b \n", "x y", "", "a b")
	f.Fuzz(func(t *testing.T, text, user, id, name string) {
		file, err := Read("f", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("the error %q names no line", err)
			}
			return
		}
		if topic.CheckName(name) != nil {
			return
		}
		r := file.Rights(Client{ID: id, User: user})
		for a := range actions {
			d, looked := r.Explain(a, name)
			if d.Rule == nil || len(looked) == 0 || looked[len(looked)-1].Allows != d.Allowed {
				t.Errorf("%s %q: %+v and %+v", a, name, d, looked)
			}
		}
		if name[0] == '$' && strings.HasPrefix(name, "$SYS") && r.Decide(Publish, name).Allowed && !topic.Match(stateFilter, name) {
			t.Errorf("may publish to %q", name)
		}
	})
}

// BenchmarkDecide is a decision by the last of the rules.
func BenchmarkDecide(b *testing.B) {
	for _, rules := range []int{1, 10, 100} {
		var text strings.Builder
		for i := range rules - 1 {
			text.WriteString("pattern read house/room" + string(rune('a'+i%26)) + "/%c/state\n")
		}
		text.WriteString("topic read house/kitchen/#\n")
		f, err := Read("f", strings.NewReader(text.String()))
		if err != nil {
			b.Fatal(err)
		}
		f.anonymous, f.patterns.given = ruleList{}, append(f.patterns.given, f.anonymous.given...)
		r := f.Rights(Client{ID: "sensor-17"})
		b.Run(fmt.Sprint("rules=", rules), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !r.Decide(Receive, "house/kitchen/sensor-17/state").Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
}
