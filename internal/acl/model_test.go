package acl

import (
	"strings"
	"testing"
)

const roles = `{
 "defaultACLAccess": {"publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
 "anonymousGroup": "guests",
 "clients": [
  {"username": "anna", "encoded_password": "$7$x", "roles": [{"rolename": "reader"}, {"rolename": "writer", "priority": 5}], "groups": [{"groupname": "staff", "priority": 1}]},
  {"username": "ben", "roles": [], "groups": [{"groupname": "staff"}]},
  {"username": "gone", "disabled": true, "roles": [{"rolename": "reader"}]},
  {"username": "carl", "roles": []}
 ],
 "groups": [
  {"groupname": "staff", "roles": [{"rolename": "office"}], "clients": [{"username": "carl"}, {"username": "anna"}]},
  {"groupname": "guests", "roles": [{"rolename": "guest"}]}
 ],
 "roles": [
  {"rolename": "reader", "acls": [{"acltype": "subscribePattern", "topic": "house/#", "allow": true},
    {"acltype": "subscribeLiteral", "topic": "house/safe", "allow": false}, {"acltype": "publishClientSend", "topic": "#", "allow": true}]},
  {"rolename": "writer", "acls": [{"acltype": "publishClientSend", "topic": "house/#", "allow": false},
    {"acltype": "publishClientSend", "topic": "house/door", "priority": 2, "allow": true}]},
  {"rolename": "office", "acls": [{"acltype": "subscribePattern", "topic": "office/+", "allow": true}, {"acltype": "publishClientSend", "topic": "office/%u", "allow": true},
    {"acltype": "subscribePattern", "topic": "$share/team/office/+", "allow": true}]},
  {"rolename": "guest", "acls": [{"acltype": "publishClientReceive", "topic": "house/#", "allow": false}, {"acltype": "unsubscribePattern", "topic": "#", "allow": false},
    {"acltype": "publishClientReceive", "topic": "mail/%c", "allow": false}]}
 ]}`

// TestModel holds decisions by roles and groups, and the rule that each names.
func TestModel(t *testing.T) {
	m, err := ReadModel(strings.NewReader(roles))
	if err != nil {
		t.Fatal(err)
	}
	s := &Set{Model: m}
	for _, test := range []struct {
		user   string
		action Action
		topic  string
		want   bool
		rule   string // the place of it, or its beginning
	}{
		{"anna", Publish, "house/door", true, "role 'writer', rule 2"},
		{"anna", Publish, "house/roof", false, "role 'writer', rule 1"},
		{"anna", Publish, "x", true, "role 'reader', rule 3"},
		{"anna", Publish, "$SYS/x", false, "clients do not write"},
		{"anna", Subscribe, "house/+/lamp", true, "role 'reader', rule 1"},
		{"anna", Subscribe, "house/safe", false, "role 'reader', rule 2"},
		{"anna", Subscribe, "$share/g/house/safe", false, "role 'reader', rule 2"},
		{"anna", Subscribe, "$share/g/house/a", false, "defaultACLAccess subscribe deny"},
		{"anna", Subscribe, "#", false, "defaultACLAccess subscribe deny"},
		{"anna", Subscribe, "office/a", true, "role 'office', rule 1"},
		{"ben", Subscribe, "office/+", true, "role 'office', rule 1"},
		{"ben", Subscribe, "office/#", false, "defaultACLAccess"},
		{"carl", Subscribe, "$share/team/office/a", true, "role 'office', rule 3"},
		{"ben", Publish, "office/ben", true, "role 'office', rule 2"},
		{"ben", Publish, "office/anna", false, "defaultACLAccess"},
		{"ben", Receive, "anything", true, "defaultACLAccess publishClientReceive allow"},
		{"ben", Receive, "$CONTROL/x", false, "what begins with $CONTROL"},
		{"", Receive, "house/a", false, "role 'guest', rule 1"},
		{"", Receive, "garden", true, "defaultACLAccess"},
		{"", Unsubscribe, "house/a", false, "role 'guest', rule 2"},
		{"gone", Subscribe, "house/a", false, "the client is disabled"},
		{"eve", Receive, "house/a", false, "the roles know no such client"},
	} {
		d := s.Rights(Client{ID: "c", User: test.user}, nil).Decide(test.action, test.topic)
		if d.Allowed != test.want || !strings.HasPrefix(d.Rule.String(), test.rule) {
			t.Errorf("%q %s %s: got %v by %s, want %v by %s", test.user, test.action, test.topic, d.Allowed, d.Rule, test.want, test.rule)
		}
	}
	if s.Rights(Client{ID: "+"}, nil).Decide(Receive, "garden").Allowed {
		t.Error("a Client Identifier with a wildcard gets past a rule that denies a pattern")
	}
}

// TestModelErrors holds what is said about roles that cannot be.
func TestModelErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`{"roles":[{"rolename":"r","acls":[{"acltype":"read","topic":"a"}]}]}`, "the role 'r', rule 1: there is no acltype 'read'"},
		{`{"clients":[{"username":"u","roles":[{"rolename":"r"}]}]}`, "the client 'u' has a role that does not exist: 'r'"},
		{`{"groups":[{"groupname":"g","roles":[{"rolename":"r"}]}]}`, "the group 'g' has a role that does not exist: 'r'"},
		{`{"clients":[{"username":"u","groups":[{"groupname":"g"}]}]}`, "the client 'u': there is no group 'g'"},
		{`{"anonymousGroup":"g"}`, "anonymousGroup: there is no group 'g'"},
		{`{`, "the roles cannot be read: unexpected EOF"},
		{`{}{}`, "the roles cannot be read: something stands behind the object"},
		{`{"roles":[{"rolename":"r","acls":[{"acltype":"subscribePattern","topic":"a/#/b"}]}]}`, "the role 'r', rule 1: the topic is not one: "},
	} {
		if _, err := ReadModel(strings.NewReader(test.text)); err == nil || err.Error() != test.want && !(strings.HasSuffix(test.want, ": ") && strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %s", test.text, err, test.want)
		}
	}
}

// TestRules holds that rules of a token decide alone.
func TestRules(t *testing.T) {
	s := &Set{File: readHouse(t, "topic #\nuser anna\ntopic #\n")}
	own := &Rules{Source: "the token", Publish: []string{"dev/%c/#"}, Subscribe: []string{"cmd/%u/#", "#/x"}}
	r := s.Rights(Client{ID: "c1", User: "anna"}, own)
	for _, test := range []struct {
		action Action
		topic  string
		want   bool
	}{
		{Publish, "dev/c1/a", true}, {Publish, "dev/c2/a", false}, {Publish, "cmd/anna/a", false}, {Publish, "$SYS/a", false},
		{Receive, "cmd/anna/a", true}, {Receive, "cmd/ben/a", false}, {Receive, "dev/c1/a", false},
		{Subscribe, "cmd/anna/+", true}, {Subscribe, "cmd/anna/#", true}, {Subscribe, "cmd/#", false}, {Subscribe, "#", false},
		{Subscribe, "$share/g/cmd/anna/a", false}, {Unsubscribe, "#", true},
	} {
		if d := r.Decide(test.action, test.topic); d.Allowed != test.want {
			t.Errorf("%s %s: got %v by %s, want %v", test.action, test.topic, d.Allowed, d.Rule, test.want)
		}
	}
	if d := r.Decide(Publish, "dev/c1/a"); d.Rule.String() != "the token: publish dev/%c/#" {
		t.Errorf("the rule is called %q", d.Rule)
	}
	for _, c := range []Client{{ID: "#", User: "anna"}, {ID: "c1"}} {
		if s.Rights(c, own).Decide(Receive, "cmd/anna/a").Allowed {
			t.Errorf("%+v receives what is another's", c)
		}
	}
}

// TestUnlimited shows when nobody has to be asked about what a client receives.
func TestUnlimited(t *testing.T) {
	var none *Set
	if !none.Rights(Client{}, nil).Unlimited(Receive) || !(&Set{}).Rights(Client{}, nil).Unlimited(Subscribe) {
		t.Error("without rules: not unlimited")
	}
	file := (&Set{File: readHouse(t, "topic read #")}).Rights(Client{}, nil)
	if file.Unlimited(Receive) || !file.Unlimited(Subscribe) || file.Unlimited(Publish) {
		t.Error("with a file: want Subscribe alone to be unlimited")
	}
	if !file.Names("#") || file.Names("a") {
		t.Error("the file names # and nothing else")
	}
}

// TestBoth holds how roles and an ACL file decide together.
func TestBoth(t *testing.T) {
	m, err := ReadModel(strings.NewReader(roles))
	if err != nil {
		t.Fatal(err)
	}
	s := &Set{Model: m, File: readHouse(t, "topic read house/a\nuser anna\ntopic house/#\ntopic deny garden/x\ntopic deny house/attic\nuser gone\ntopic #\nuser eve\ntopic eve/#\nuser ben\ntopic garden/#\n")}
	for _, test := range []struct {
		user   string
		action Action
		topic  string
		want   bool
		rule   string
	}{
		{"anna", Publish, "house/door", true, "role 'writer', rule 2"},
		{"anna", Publish, "house/roof", false, "role 'writer', rule 1"}, // although the file allows it
		{"anna", Publish, "garden/x", true, "role 'reader', rule 3"},    // although the file denies it
		{"ben", Publish, "garden/x", true, "f:"},
		{"ben", Publish, "house/x", false, "no rule allows it"},
		{"ben", Receive, "house/x", true, "defaultACLAccess publishClientReceive allow"}, // although the file does not
		{"ben", Receive, "$CONTROL/x", false, "what begins with $CONTROL"},
		{"ben", Subscribe, "#", true, "the rules of the file are not about Subscriptions"},
		{"anna", Subscribe, "house/safe", false, "role 'reader', rule 2"},
		{"", Unsubscribe, "x", false, "role 'guest', rule 2"},
		{"gone", Publish, "x", false, "the client is disabled"},
		{"gone", Subscribe, "x", false, "the client is disabled"},
		{"eve", Publish, "eve/x", true, "f:"},
		{"eve", Publish, "x", false, "no rule allows it"},
	} {
		d := s.Rights(Client{ID: "c", User: test.user}, nil).Decide(test.action, test.topic)
		if rule := d.Rule.String(); d.Allowed != test.want || !strings.HasPrefix(strings.Replace(rule, s.File.Path, "f", 1), test.rule) {
			t.Errorf("%q %s %s: got %v by %s, want %v by %s", test.user, test.action, test.topic, d.Allowed, rule, test.want, test.rule)
		}
	}
	own := &Rules{Source: "the token", Publish: []string{"t"}}
	if r := s.Rights(Client{ID: "c", User: "anna"}, own); r.Decide(Publish, "house/door").Allowed || !r.Decide(Publish, "t").Allowed {
		t.Error("the rules of a token do not decide alone")
	}
}

// TestModelClientID holds that a user with a Client Identifier of its own has no rights with
// another one, not even those of a file.
func TestModelClientID(t *testing.T) {
	m, err := ReadModel(strings.NewReader(`{"defaultACLAccess":{"publishClientSend":true},"clients":[{"username":"u","clientid":"c1"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Set{{Model: m}, {Model: m, File: readHouse(t, "user u\ntopic #")}} {
		for id, want := range map[string]bool{"c1": true, "c2": false} {
			if d := s.Rights(Client{ID: id, User: "u"}, nil).Decide(Publish, "a"); d.Allowed != want {
				t.Errorf("%s: got %v by %s, want %v", id, d.Allowed, d.Rule, want)
			}
		}
	}
}

// TestModelShared holds that clients of one user have the same Rights, unless a rule of it
// asks for the Client Identifier.
func TestModelShared(t *testing.T) {
	m, err := ReadModel(strings.NewReader(roles))
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]bool{"carl": false, "anna": false, "eve": true, "": false, "none": true} {
		if got := m.Rights(Client{ID: "1", User: user}) == m.Rights(Client{ID: "2", User: user}); got != want {
			t.Errorf("%q: shared is %v, want %v", user, got, want)
		}
	}
	if m, err = ReadModel(strings.NewReader(strings.NewReplacer("%u", "u", "%c", "c").Replace(roles))); err != nil {
		t.Fatal(err)
	}
	if m.Rights(Client{ID: "1", User: "anna"}) != m.Rights(Client{ID: "2", User: "anna"}) || m.Rights(Client{ID: "1"}) != m.Rights(Client{ID: "2"}) {
		t.Error("without patterns: not shared")
	}
}
