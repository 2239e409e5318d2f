package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/acl"
	"github.com/colibri-mqtt/colibri/internal/auth"
	"github.com/colibri-mqtt/colibri/internal/config"
)

const houseRules = `topic read public/#
user anna
topic house/#
topic deny house/safe
pattern write dev/%c/#
`

// writeRules writes an ACL file and a configuration that names it.
func writeRules(t *testing.T, rules string) (acl, conf string) {
	t.Helper()
	acl = filepath.Join(t.TempDir(), "house.acl")
	if err := os.WriteFile(acl, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	return acl, writeConfig(t, "listener 0 127.0.0.1\nallow_anonymous true\npersistence false\ncolibri_firehose restrict\nacl_file "+acl+"\n")
}

// TestACL holds what acl says, and its exit codes.
func TestACL(t *testing.T) {
	file, conf := writeRules(t, houseRules)
	bad, badConf := writeRules(t, "topic read a\ntopic maybe b\n")
	odd, _ := writeRules(t, "pattern read a\n")
	bare := writeConfig(t, "listener 0 127.0.0.1\n")
	missing := writeConfig(t, "acl_file /nonexistent.acl\n")
	roles := filepath.Join(t.TempDir(), "roles.json")
	if err := os.WriteFile(roles, []byte(`{"clients":[{"username":"anna","roles":[{"rolename":"door"}]}],
		"roles":[{"rolename":"door","acls":[{"acltype":"publishClientSend","topic":"house/%c","allow":true}]}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	both := writeConfig(t, "acl_file "+file+"\ncolibri_roles_file "+roles+"\n")
	lost := writeConfig(t, "colibri_roles_file /nonexistent.json\n")
	const seeHelp = "\nUse 'colibri acl --help' to see usage.\n"
	for _, test := range []struct {
		args           string
		exit           int
		stdout, stderr string
	}{
		{"explain --file FILE -u anna publish house/safe", 1,
			"denied: FILE:4 (topic deny house/safe)\nLooked at, in this order:\n  FILE:4: topic deny house/safe - denies it\n", ""},
		{"explain --file FILE -u anna -i c1 publish dev/c1/x", 0,
			"allowed: FILE:5 (pattern write dev/%c/#)\nLooked at, in this order:\n  FILE:4: topic deny house/safe - speaks of other topics\n" +
				"  FILE:3: topic house/# - speaks of other topics\n  FILE:5: pattern write dev/%c/#, which is dev/c1/# for this client - allows it\n", ""},
		{"explain --file FILE receive house/x", 1, "denied: no rule allows it\nLooked at, in this order:\n" +
			"  FILE:1: topic read public/# - speaks of other topics\n  no rule allows it - denies it\n", ""},
		{"explain --file FILE subscribe #", 0, "allowed: the rules of the file are not about Subscriptions, but about the messages that come with them\n" +
			"Looked at, in this order:\n  the rules of the file are not about Subscriptions, but about the messages that come with them - allows it\n", ""},
		{"explain -c CONF subscribe #", 1, "denied: colibri_firehose restrict: no rule of this client names exactly this Topic Filter\n" +
			"Looked at, in this order:\n  colibri_firehose restrict: no rule of this client names exactly this Topic Filter - denies it\n", ""},
		{"explain -c BARE publish x", 0, "allowed: there are no rules\nLooked at, in this order:\n  there are no rules - allows it\n", ""},
		{"explain --roles ROLES -u anna -i door publish house/door", 0, "allowed: role 'door', rule 1 (publishClientSend house/%c allow)\nLooked at, in this order:\n" +
			"  role 'door', rule 1: publishClientSend house/%c allow, which is house/door for this client - allows it\n", ""},
		{"explain --roles ROLES receive x", 1, "denied: defaultACLAccess publishClientReceive deny\nLooked at, in this order:\n  defaultACLAccess publishClientReceive deny - denies it\n", ""},
		{"explain --roles FILE receive x", 3, "", "Error: In FILE: the roles cannot be read: invalid character 'o' in literal true (expecting 'r').\n"},
		{"explain --roles ROLES -c CONF receive x", 3, "", "Error: Give roles or a configuration, not both.\n" + seeHelp},
		{"explain publish x", 3, "", "Error: Say where the rules are: --file and an ACL file, --roles and a file of roles, or -c and a configuration.\n" + seeHelp},
		{"explain --file FILE publish", 3, "", "Error: Say what to explain: publish, receive, subscribe or unsubscribe, and a topic.\n" + seeHelp},
		{"explain --file FILE publish a b", 3, "", "Error: There is a second topic, 'b'; give one, in quotes when it has spaces.\n" + seeHelp},
		{"explain --file FILE write a", 3, "", "Error: 'write' is none of publish, receive, subscribe and unsubscribe.\n" + seeHelp},
		{"explain --file FILE unsubscribe #", 0, "allowed: the rules of the file are not about Subscriptions, but about the messages that come with them\n" +
			"Looked at, in this order:\n  the rules of the file are not about Subscriptions, but about the messages that come with them - allows it\n", ""},
		{"explain --roles ROLES -u anna unsubscribe a", 1, "denied: defaultACLAccess unsubscribe deny\nLooked at, in this order:\n  defaultACLAccess unsubscribe deny - denies it\n", ""},
		{"explain --file FILE --roles ROLES -u anna -i house publish house/house", 0, "allowed: role 'door', rule 1 (publishClientSend house/%c allow)\n" +
			"Looked at, in this order:\n  role 'door', rule 1: publishClientSend house/%c allow, which is house/house for this client - allows it\n", ""},
		{"explain --file FILE --roles ROLES -u anna -i c1 publish house/safe", 1, "denied: FILE:4 (topic deny house/safe)\nLooked at, in this order:\n" +
			"  role 'door', rule 1: publishClientSend house/%c allow, which is house/c1 for this client - speaks of other topics\n  FILE:4: topic deny house/safe - denies it\n", ""},
		{"explain -c BOTH -u anna -i c1 publish house/c1", 0, "allowed: role 'door', rule 1 (publishClientSend house/%c allow)\n" +
			"Looked at, in this order:\n  role 'door', rule 1: publishClientSend house/%c allow, which is house/c1 for this client - allows it\n", ""},
		{"explain --file FILE -c CONF publish a", 3, "", "Error: Give an ACL file or a configuration, not both.\n" + seeHelp},
		{"explain --file /nonexistent publish a", 3, "", "Error: The file /nonexistent cannot be read: no such file or directory.\n"},
		{"explain --file BAD publish a", 3, "", "Error: BAD:2: 'maybe' is none of read, write, readwrite and deny; a topic with spaces needs one of them before it.\n"},
		{"explain --file", 3, "", "Error: '--file' needs a ACL behind it.\n" + seeHelp},
		{"explain --files FILE", 3, "", "Error: Unknown option '--files'; the nearest is '--file'.\n" + seeHelp},
		{"--file FILE", 3, "", "Error: '--file' belongs behind 'explain'.\n" + seeHelp},
		{"", 3, "", "Error: Say what to do: explain or check.\n" + seeHelp},
		{"forbid", 3, "", "Error: Unknown command 'forbid'; there are explain and check.\n" + seeHelp},
		{"check FILE", 0, "The file is right. Rules: 4; users with rules of their own: 1.\n", ""},
		{"check -c CONF", 0, "The file is right. Rules: 4; users with rules of their own: 1.\n", ""},
		{"check -c BARE", 0, "The configuration names no ACL file and no roles, so there are no rules.\n", ""},
		{"check ODD", 0, "The file is right. Rules: 1; users with rules of their own: 0.\n",
			"Warning: ODD:1: the pattern has neither %u nor %c, so it gives everybody the same; 'topic' gives it to one user.\n"},
		{"check BAD", 3, "", "Error: BAD:2: 'maybe' is none of read, write, readwrite and deny; a topic with spaces needs one of them before it.\n"},
		{"check -c MISSING", 3, "", "Error: MISSING:1: the acl_file /nonexistent.acl cannot be read: no such file or directory.\n"},
		{"check", 3, "", "Error: Say which ACL file, or --roles and a file of roles, or -c and a configuration.\n" + seeHelp},
		{"check --roles ROLES", 0, "The roles are right. Roles: 1; groups: 0; clients: 1.\n", ""},
		{"check --roles BAD", 3, "", "Error: In BAD: the roles cannot be read: invalid character 'o' in literal true (expecting 'r').\n"},
		{"check -c BOTH", 0, "The file is right. Rules: 4; users with rules of their own: 1.\nThe roles are right. Roles: 1; groups: 0; clients: 1.\n", ""},
		{"check -c LOST", 3, "", "Error: LOST:1: the colibri_roles_file /nonexistent.json cannot be read: no such file or directory.\n"},
		{"check FILE ODD", 3, "", "Error: There is a second file, 'ODD'; give one.\n" + seeHelp},
		{"check -c CONF FILE", 3, "", "Error: Give an ACL file or a configuration, not both.\n" + seeHelp},
		{"check --json BAD", 3, `{"ok":false,"error":"BAD:2: 'maybe' is none of read, write, readwrite and deny; a topic with spaces needs one of them before it.","file":"BAD","line":2,"rules":0,"users":0,"warnings":[],"roles":0,"groups":0,"clients":0}` + "\n", ""},
	} {
		named := strings.NewReplacer("MISSING", missing, "BOTH", both, "LOST", lost, "ROLES", roles, "FILE", file, "CONF", conf, "BADCONF", badConf, "BAD", bad, "ODD", odd, "BARE", bare)
		exit, stdout, stderr := call(t, append([]string{"colibri", "acl"}, strings.Fields(named.Replace(test.args))...)...)
		got := fmt.Sprintf("exit code %d\n%s%s", exit, stdout, stderr)
		want := fmt.Sprintf("exit code %d\n%s%s", test.exit, named.Replace(test.stdout), named.Replace(test.stderr))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("acl %s (-want +got):\n%s", test.args, diff)
		}
	}
	exit, stdout, stderr := call(t, "colibri", "broker", "-c", badConf)
	if want := "Error: " + bad + ":2: 'maybe' is none of read, write, readwrite and deny; a topic with spaces needs one of them before it.\n"; exit != 3 || stderr != want {
		t.Errorf("a broker with a wrong file: got exit code %d and %q, want 3 and %q", exit, stdout+stderr, want)
	}
}

// TestACLJSON holds the keys that scripts read.
func TestACLJSON(t *testing.T) {
	file, _ := writeRules(t, houseRules)
	exit, stdout, _ := call(t, "colibri", "acl", "explain", "--json", "--file", file, "-u", "anna", "-i", "c1", "receive", "house/x")
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || exit != 0 {
		t.Fatalf("got exit code %d, %v and %s", exit, err, stdout)
	}
	rule := map[string]any{"file": file, "line": 3.0, "text": "topic house/#"}
	want := map[string]any{"allowed": true, "action": "receive", "topic": "house/x", "user": "anna", "client": "c1", "rule": rule, "looked_at": []any{
		map[string]any{"file": file, "line": 4.0, "text": "topic deny house/safe", "filter": "house/safe", "allows": false, "decides": false},
		map[string]any{"file": file, "line": 3.0, "text": "topic house/#", "filter": "house/#", "allows": true, "decides": true},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if exit, stdout, _ := call(t, "colibri", "acl", "explain", "--json", "--file", file, "publish", "x"); exit != 1 || !strings.HasPrefix(stdout, `{"allowed":false,`) {
		t.Errorf("denied: got exit code %d and %s", exit, stdout)
	}
}

// TestACLHelp shows that help and completion know acl.
func TestACLHelp(t *testing.T) {
	exit, stdout, _ := call(t, "colibri", "acl", "--help")
	for _, want := range []string{"colibri acl explain [FLAGS] {publish | receive | subscribe | unsubscribe} TOPIC", "-u, --user USER", "Exit code:"} {
		if exit != 0 || !strings.Contains(stdout, want) {
			t.Errorf("--help: got exit code %d, and no %q in\n%s", exit, want, stdout)
		}
	}
	for args, want := range map[string]string{"acl \x00": "explain check", "acl explain \x00p": "publish", "acl explain \x00--u": "--user", "acl check \x00--f": ""} {
		before, typed, _ := strings.Cut(args, "\x00")
		_, stdout, _ := call(t, append(append([]string{"colibri", "__complete"}, strings.Fields(before)...), typed)...)
		var got []string
		for line := range strings.Lines(stdout) {
			if offer, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); offer != "" && offer[0] != ':' {
				got = append(got, offer)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("completion of %q: got %q, want %q", args, got, want)
		}
	}
}

// TestBrokerACL shows a broker with an ACL file, which is read again: rightly, wrongly and
// rightly again.
func TestBrokerACL(t *testing.T) {
	file, conf := writeRules(t, houseRules)
	b := startBroker(t, "colibri", "broker", "-c", conf)
	_, port, _ := strings.Cut(b.address(), ":")
	publish := func(topic string) int {
		t.Helper()
		exit, _, _ := call(t, "colibri", "pub", "-V", "5", "-p", port, "-i", "c1", "-u", "anna", "-q", "1", "-t", topic, "-m", "x")
		return exit
	}
	reload := func(rules, answer string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		b.until(answer)
	}
	if publish("house/x") != 0 || publish("dev/c1/x") != 0 {
		t.Error("what is allowed is refused")
	}
	publish("house/safe")
	b.until(`Denied: client c1 \(user anna\) may not publish to house/safe: .*house\.acl:4 \(topic deny house/safe\)\.\n`)
	publish("house/safe")
	publish("house/safe")
	b.until(`Denied: client c1 \(user anna\) may not publish to house/safe: .*house\.acl:4 \(topic deny house/safe\)(; \d more were left out before)?\.\n(.*\n)*.*Denied: client c1`)
	reload("topics x\n", `Reading the access rules again: The ACL file is wrong: .*house\.acl:1: 'topics' is none of user, topic and pattern, with one of which a line begins\. The broker goes on with what held before\.\n`)
	if publish("house/x") != 0 {
		t.Error("after a wrong file: what is allowed is refused")
	}
	reload("user anna\ntopic read house/#\n", `Reading the access rules again: what stands there holds from now on\.\n`)
	publish("house/x")
	b.until(`Denied: client c1 \(user anna\) may not publish to house/x: no rule allows it\.\n`)
	call(t, "colibri", "sub", "-V", "5", "-p", port, "-i", "c2", "-t", "#", "-E")
	b.until(`Denied: client c2 may not subscribe to #: colibri_firehose restrict: no rule of this client names exactly this Topic Filter\.\n`)
	b.end()
}

// TestAudit shows how often one client, and many, are told of.
func TestAudit(t *testing.T) {
	var out transcript
	log, err := newBrokerLog(config.Default().Log, nil, nil, &out)
	if err != nil {
		t.Fatal(err)
	}
	log.audit = newAudit(log, &auth.Access{Firehose: acl.FirehoseRefuse})
	denied := func(client string, action broker.Action, topic string) {
		log.event(broker.Denied{Client: broker.ClientInfo{ClientID: client}, Action: action, Topic: topic, Code: colibri.NotAuthorized})
	}
	for range 1000 {
		denied("loud", broker.ActionPublish, "$SYS/x")
	}
	denied("other\n", broker.ActionKeep, "#")
	denied("third", broker.ActionPublish, "$SYS/broker/connection/x/state")
	denied("fourth", broker.ActionSubscribe, "a")
	for i := range auditClients + 50 {
		denied(fmt.Sprint("many", i), broker.ActionPublish, "$SYS/x")
	}
	log.close()
	text, _ := out.now()
	loud := "Denied: client loud may not publish to $SYS/x: clients do not write below $SYS, except to $SYS/broker/connection/+/state"
	for _, want := range []string{loud + ".\n", loud + "; 998 more were left out before.\n",
		`Denied: client other\n loses its Subscription to #: colibri_firehose refuse: nobody subscribes to everything.` + "\n",
		"Denied: client third may not publish to $SYS/broker/connection/x/state: topics below $SYS are the broker's own to write.\n",
		"Denied: client fourth may not subscribe to a: a rule that was replaced at this moment.\n",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("got %d times, want once: %s", strings.Count(text, want), want)
		}
	}
	if len(log.audit.recent) != 0 {
		t.Errorf("%d clients are left, want none", len(log.audit.recent))
	}
}

// TestAuditBound holds that many clients do not make it grow.
func TestAuditBound(t *testing.T) {
	log := &brokerLog{settings: config.Default().Log, lines: make(chan logLine, 2*logLines)}
	a := newAudit(log, &auth.Access{})
	for i := range 3 * auditClients {
		a.denied(broker.Denied{Client: broker.ClientInfo{ClientID: fmt.Sprint(i)}, Topic: "$SYS/x"})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.recent); n > auditClients+1 {
		t.Errorf("%d clients are remembered, want at most %d", n, auditClients+1)
	}
}

// TestBrokerRoles shows a broker with roles, which are read again: rightly, wrongly and
// rightly again; and beside an ACL file.
func TestBrokerRoles(t *testing.T) {
	file, _ := writeRules(t, "user anna\ntopic garden/#\n")
	roles := filepath.Join(t.TempDir(), "roles.json")
	write := func(kind, topic, unsubscribe string) {
		t.Helper()
		text := `{"defaultACLAccess":{"unsubscribe":` + unsubscribe + `},"clients":[{"username":"anna","roles":[{"rolename":"r"}]}],
			"roles":[{"rolename":"r","acls":[{"acltype":"` + kind + `","topic":"` + topic + `","allow":true}, {"acltype":"unsubscribeLiteral","topic":"x","allow":false}]}]}`
		if err := os.WriteFile(roles, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("publishClientSend", "house/#", "true")
	b := startBroker(t, "colibri", "broker", "-c", writeConfig(t, "listener 0 127.0.0.1\nallow_anonymous true\npersistence false\nacl_file "+file+"\ncolibri_roles_file "+roles+"\n"))
	_, port, _ := strings.Cut(b.address(), ":")
	publish := func(topic, want string) {
		t.Helper()
		exit, _, stderr := call(t, "colibri", "pub", "-V", "5", "-p", port, "-i", "c1", "-u", "anna", "-q", "1", "-t", topic, "-m", "x")
		if got := exit == 0 && !strings.Contains(stderr, "Not authorized"); got != (want == "") {
			t.Errorf("publish to %s: got exit code %d and %q", topic, exit, stderr)
		}
		if want != "" {
			b.until(`Denied: client c1 \(user anna\) may not publish to ` + topic + `: ` + want + `\.\n`)
		}
	}
	publish("house/door", "")
	publish("garden/x", "")
	publish("attic", "no rule allows it")
	if text, _ := b.stderr.now(); strings.Contains(text, "acl_file are not asked") {
		t.Errorf("a warning without a reason:\n%s", text)
	}
	if err := os.WriteFile(roles, []byte(`{"clients":[{"username":"anna","roles":[{"rolename":"q"}]}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	b.until(`Reading the roles again: The file of roles is wrong: in .*roles\.json: the client 'anna' has a role that does not exist: 'q'\. The broker goes on with what held before\.\n`)
	publish("house/door", "")
	write("publishClientSend", "attic", "true")
	b.until(`Reading the roles again: what stands there holds from now on\.\n`)
	publish("attic", "")
	publish("garden/x", "")
	publish("house/door", "no rule allows it")
	if err := os.WriteFile(file, []byte("user anna\ntopic house/#\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.until(`Reading the access rules again: what stands there holds from now on\.\n`)
	publish("attic", "") // the roles are still there
	publish("house/door", "")
	call(t, "colibri", "sub", "-V", "5", "-p", port, "-i", "c2", "-u", "anna", "-t", "x", "-U", "x", "-E")
	b.until(`Denied: client c2 \(user anna\) may not unsubscribe from x: role 'r', rule 2 \(unsubscribeLiteral x deny\)\.\n`)
	b.end()
}

// TestRolesWarning shows that somebody is told whose ACL file is not asked.
func TestRolesWarning(t *testing.T) {
	acl, _ := writeRules(t, houseRules)
	conf := writeConfig(t, "acl_file "+acl+"\ncolibri_roles_file "+file(t, `{"defaultACLAccess":{"publishClientReceive":true}}`)+"\n")
	exit, _, stderr := call(t, "colibri", "broker", "-c", conf, "--test-config")
	want := "Warning: " + conf + ":2: the defaultACLAccess of the roles allows publishClientReceive or publishClientSend, so that for the clients of the roles " +
		"the read or write lines of the acl_file are not asked.\n"
	if exit != 0 || stderr != want {
		t.Errorf("got exit code %d and %q, want %q", exit, stderr, want)
	}
}
