package acl

import (
	"strings"
	"testing"
)

// TestFirehose holds who may subscribe to everything.
func TestFirehose(t *testing.T) {
	file := readHouse(t, "topic read #\nuser anna\ntopic read $SYS/#\ntopic read a/#\nuser ben\ntopic deny #\ntopic read +/#\n")
	model, err := ReadModel(strings.NewReader(`{"clients":[{"username":"anna","roles":[{"rolename":"all"}]}],
		"roles":[{"rolename":"all","acls":[{"acltype":"subscribePattern","topic":"#","allow":true}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		rule   Firehose
		set    *Set
		user   string
		filter string
		want   bool
	}{
		{FirehoseAllow, nil, "", "#", true},
		{FirehoseRefuse, nil, "", "#", false},
		{FirehoseRestrict, nil, "", "#", false},
		{FirehoseRefuse, nil, "", "a/#", true},
		{FirehoseRestrict, nil, "", "+", true},
		{FirehoseRefuse, &Set{File: file}, "", "#", false},
		{FirehoseRestrict, &Set{File: file}, "", "#", true},
		{FirehoseRestrict, &Set{File: file}, "", "$share/g/#", true},
		{FirehoseRestrict, &Set{File: file}, "", "+/#", false},
		{FirehoseRestrict, &Set{File: file}, "", "$SYS/#", false},
		{FirehoseRestrict, &Set{File: file}, "anna", "#", false},
		{FirehoseRestrict, &Set{File: file}, "anna", "$share/g/+/+/#", false},
		{FirehoseRestrict, &Set{File: file}, "anna", "$SYS/#", true},
		{FirehoseRestrict, &Set{File: file}, "ben", "#", false}, // the rule that names it denies it
		{FirehoseRestrict, &Set{File: file}, "ben", "+/#", true},
		{FirehoseRestrict, &Set{Model: model}, "anna", "#", true},
		{FirehoseRestrict, &Set{Model: model}, "anna", "+/#", false},
		{FirehoseAllow, &Set{Model: model}, "anna", "+/#", true},
		{FirehoseAllow, &Set{Model: model}, "anna", "$share/g/x", true},
		{FirehoseAllow, &Set{Model: model}, "anna", "$SYS/x", true},
	} {
		r := test.set.Rights(Client{ID: "c", User: test.user}, nil)
		d := test.rule.Subscribe(r, test.filter)
		explained, looked := test.rule.Explain(r, Subscribe, test.filter)
		if d.Allowed != test.want || explained != d || looked[len(looked)-1].Rule != d.Rule {
			t.Errorf("rule %d, %q, %s: got %v by %s, want %v; explained: %v by %s", test.rule, test.user, test.filter, d.Allowed, d.Rule, test.want,
				explained.Allowed, explained.Rule)
		}
	}
}
