package auth

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri/internal/acl"
)

func TestNewRights(t *testing.T) {
	for _, test := range []struct {
		name               string
		publish, subscribe []string
		user, client       string
		want               *acl.Rules
		wrong              string
	}{
		{name: "nothing said"},
		{"nothing permitted", []string{}, nil, "u", "c", &acl.Rules{Source: "a test"}, ""},
		{"as they are", []string{"a/b"}, []string{"c/#", "+/d"}, "u", "c", &acl.Rules{Source: "a test", Publish: []string{"a/b"}, Subscribe: []string{"c/#", "+/d"}}, ""},
		{"with names", []string{"%u/%c/x"}, []string{"in/%c"}, "alice", "c1", &acl.Rules{Source: "a test", Publish: []string{"alice/c1/x"}, Subscribe: []string{"in/c1"}}, ""},
		{"a name in a name", []string{"%u/x"}, nil, "%c", "c1", &acl.Rules{Source: "a test"}, ""},
		{"a wildcard as a name", []string{"%u/x", "y"}, nil, "+", "c", &acl.Rules{Source: "a test", Publish: []string{"y"}}, ""},
		{"levels as a name", []string{"%c/x", "%u/x"}, nil, "u", "a/b", &acl.Rules{Source: "a test", Publish: []string{"u/x"}}, ""},
		{"all as a name", nil, []string{"%c"}, "u", "#", &acl.Rules{Source: "a test"}, ""},
		{"the Server's as a name", nil, []string{"%c/#"}, "u", "$SYS", &acl.Rules{Source: "a test"}, ""},
		{"no name", nil, []string{"%u/#"}, "", "c", &acl.Rules{Source: "a test"}, ""},
		{"no filter", []string{"a/#/b"}, nil, "u", "c", nil, "not a Topic Filter"},
		{"too long", []string{strings.Repeat("a", 1025)}, nil, "u", "c", nil, "not a Topic Filter"},
		{"too many", make([]string, 1001), nil, "u", "c", nil, "1001 filters"},
	} {
		got, err := NewRights("a test", test.publish, test.subscribe, test.user, test.client)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", test.name, diff)
		}
		if wrong := err != nil; wrong != (test.wrong != "") || wrong && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: got the error %v, want %q", test.name, err, test.wrong)
		}
	}
}
