package auth

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri/topic"
)

func TestNewRights(t *testing.T) {
	for _, test := range []struct {
		name               string
		publish, subscribe []string
		user, client       string
		want               *Rights
		wrong              string
	}{
		{name: "nothing said"},
		{"nothing permitted", []string{}, nil, "u", "c", &Rights{}, ""},
		{"as they are", []string{"a/b"}, []string{"c/#", "+/d"}, "u", "c", &Rights{[]string{"a/b"}, []string{"c/#", "+/d"}}, ""},
		{"with names", []string{"%u/%c/x"}, []string{"in/%c"}, "alice", "c1", &Rights{[]string{"alice/c1/x"}, []string{"in/c1"}}, ""},
		{"a name in a name", []string{"%u/x"}, nil, "%c", "c1", &Rights{Publish: []string{"%c/x"}}, ""},
		{"a wildcard as a name", []string{"%u/x", "y"}, nil, "+", "c", &Rights{Publish: []string{"y"}}, ""},
		{"levels as a name", []string{"%c/x", "%u/x"}, nil, "u", "a/b", &Rights{Publish: []string{"u/x"}}, ""},
		{"all as a name", nil, []string{"%c"}, "u", "#", &Rights{}, ""},
		{"the Server's as a name", nil, []string{"%c/#"}, "u", "$SYS", &Rights{}, ""},
		{"no name", nil, []string{"%u/#"}, "", "c", &Rights{}, ""},
		{"no filter", []string{"a/#/b"}, nil, "u", "c", nil, "not a Topic Filter"},
		{"too long", []string{strings.Repeat("a", 1025)}, nil, "u", "c", nil, "not a Topic Filter"},
		{"too many", make([]string, 1001), nil, "u", "c", nil, "1001 filters"},
	} {
		got, err := NewRights(test.publish, test.subscribe, test.user, test.client)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", test.name, diff)
		}
		if wrong := err != nil; wrong != (test.wrong != "") || wrong && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: got the error %v, want %q", test.name, err, test.wrong)
		}
	}
}

func TestMay(t *testing.T) {
	rights := &Rights{Publish: []string{"a/+/c", "x/#"}, Subscribe: []string{"a/+/c", "x/#", "$SYS/broker/#"}}
	for _, test := range []struct {
		topic string
		want  bool
	}{{"a/b/c", true}, {"a/b", false}, {"x", true}, {"x/y/z", true}, {"$SYS/broker/x", false}} {
		if got := rights.MayPublish(test.topic); got != test.want {
			t.Errorf("publish %s: got %v", test.topic, got)
		}
	}
	for _, test := range []struct {
		filter string
		want   bool
	}{
		{"a/b/c", true}, {"a/+/c", true}, {"a/#", false}, {"a/+/+", false}, {"a/b/c/d", false}, {"a/+", false}, {"#", false}, {"+/b/c", false},
		{"x", true}, {"x/#", true}, {"x/+/#", true}, {"+", false}, {"$SYS/broker/+", true}, {"$SYS/#", false},
		{"$share/g/a/b/c", true}, {"$share/g/#", false},
	} {
		if got := rights.MaySubscribe(test.filter); got != test.want {
			t.Errorf("subscribe %s: got %v", test.filter, got)
		}
	}
	none := &Rights{}
	if none.MayPublish("a") || none.MaySubscribe("a") {
		t.Error("empty rights permit something")
	}
	every := &Rights{Subscribe: []string{"#"}}
	if !every.MaySubscribe("a/#") || !every.MaySubscribe("#") || every.MaySubscribe("$SYS/#") {
		t.Error("# is all but what begins with $")
	}
}

// TestCoversAgainstMatch checks covers with all short filters and names.
func TestCoversAgainstMatch(t *testing.T) {
	var names, all []string
	for _, a := range []string{"", "a", "b", "$a"} {
		names = append(names, a)
		for _, b := range []string{"", "a", "b"} {
			names = append(names, a+"/"+b)
			for _, c := range []string{"a", "b"} {
				names = append(names, a+"/"+b+"/"+c)
			}
		}
	}
	for _, a := range []string{"a", "b", "$a", "+", "#"} {
		all = append(all, a)
		for _, b := range []string{"a", "b", "+", "#"} {
			all = append(all, a+"/"+b, a+"/"+b+"/a", a+"/"+b+"/+", a+"/"+b+"/#")
		}
	}
	for _, right := range all {
		for _, filter := range all {
			if topic.CheckFilter(right) != nil || topic.CheckFilter(filter) != nil || !covers(right, filter) {
				continue
			}
			for _, name := range names {
				if topic.Match(filter, name) && !topic.Match(right, name) {
					t.Errorf("%s is said to cover %s, and does not match %s", right, filter, name)
				}
			}
		}
	}
}
