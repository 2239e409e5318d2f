package auth

import (
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/acl"
)

// TestAccess shows that rules change at once, that those of a token come first, and that
// clients with the same rules have equal Permissions.
func TestAccess(t *testing.T) {
	a := &Access{Firehose: acl.FirehoseRestrict}
	anna, ben := broker.ClientInfo{ClientID: "1", UserName: "anna"}, broker.ClientInfo{ClientID: "2", UserName: "ben"}
	token := broker.ClientInfo{ClientID: "3", UserName: "anna", Rights: &acl.Rules{Source: "the token", Publish: []string{"t"}, Subscribe: []string{"t"}}}
	p := a.Permissions(anna)
	if p.Publish("a", 0, false) != colibri.Success || !p.Receive("a") || p.Subscribe(colibri.Subscription{Filter: "a", QoS: 2}) != colibri.GrantedQoS2 {
		t.Error("without rules: something is refused")
	}
	if p.Subscribe(colibri.Subscription{Filter: "#"}) != colibri.NotAuthorized {
		t.Error("the firehose is not restricted")
	}
	file, err := acl.Read("f", strings.NewReader("user anna\ntopic read a\nuser ben\ntopic write a\n"))
	if err != nil {
		t.Fatal(err)
	}
	a.Set(&acl.Set{File: file})
	if p.Publish("a", 0, false) != colibri.Success {
		t.Error("Permissions have changed, want those of before")
	}
	if p = a.Permissions(anna); p.Publish("a", 0, false) != colibri.NotAuthorized || !p.Receive("a") {
		t.Error("anna: want to receive a, and not to publish it")
	}
	if p != a.Permissions(broker.ClientInfo{ClientID: "9", UserName: "anna"}) || p == a.Permissions(ben) {
		t.Error("want equal Permissions for two clients of anna, and others for ben")
	}
	if p = a.Permissions(token); p.Publish("t", 0, false) != colibri.Success || p.Receive("a") {
		t.Error("the rules of a token do not decide alone")
	}
	token.Rights = "everything"
	if p = a.Permissions(token); p.Publish("t", 0, false) != colibri.NotAuthorized || p.Receive("a") {
		t.Error("rights of an unknown kind allow something")
	}
	if d := a.Decide(anna, acl.Publish, "a"); d.Allowed || d.Rule.Text != "no rule allows it" {
		t.Errorf("Decide: got %+v", d)
	}
	if d := a.Decide(anna, acl.Receive, "a"); !d.Allowed || d.Rule.Place() != "f:2" {
		t.Errorf("Decide: got %+v", d)
	}
}

// TestAccessWhy shows that Permissions name the rule by which they decide.
func TestAccessWhy(t *testing.T) {
	file, err := acl.Read("f", strings.NewReader("topic read a\ntopic deny b\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := &Access{Firehose: acl.FirehoseRefuse}
	a.Set(&acl.Set{File: file})
	why, ok := a.Permissions(broker.ClientInfo{}).(broker.Reasoned)
	if !ok {
		t.Fatal("the Permissions name no rules")
	}
	for _, c := range []struct {
		action     broker.Action
		name, want string
	}{
		{broker.ActionReceive, "a", "f:1 (topic read a)"},
		{broker.ActionPublish, "a", "no rule allows it"},
		{broker.ActionPublish, "b", "f:2 (topic deny b)"},
		{broker.ActionSubscribe, "#", "colibri_firehose refuse: nobody subscribes to everything"},
	} {
		if got := why.Why(c.action, c.name); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
