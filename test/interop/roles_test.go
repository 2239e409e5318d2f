package interop

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/packets"
)

// rolesPlugin is Mosquitto's dynamic security, where Debian's package puts it.
const rolesPlugin = "/usr/lib/*/mosquitto_dynamic_security.so"

// object is a JSON object.
type object = map[string]any

// rule is a rule of a role.
func rule(kind, topic string, priority int, allow bool) object {
	return object{"acltype": kind, "topic": topic, "priority": priority, "allow": allow}
}

// member is a client of TestRoles, with the password that all of them have.
func member(name string, roles []object, groups ...object) object {
	salt := []byte("salt of a row")
	key, err := pbkdf2.Key(sha512.New, clientPassword, salt[:12], 101, 64)
	if err != nil {
		panic(err)
	}
	return object{"username": name, "textName": "", "roles": roles, "groups": groups, "iterations": 101,
		"password": base64.StdEncoding.EncodeToString(key), "salt": base64.StdEncoding.EncodeToString(salt[:12])}
}

// rolesFile is a state file of dynamic security.
func rolesFile() object {
	role := func(name string, priority int) object { return object{"rolename": name, "priority": priority} }
	group := func(name string, priority int) object { return object{"groupname": name, "priority": priority} }
	return object{
		"defaultACLAccess": object{"publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
		"anonymousGroup":   "guests",
		"clients": []object{
			member("admin", []object{role("all", -1)}),
			member("anna", []object{role("reader", -1), role("writer", 5)}, group("staff", 1)),
			member("ben", []object{}, group("staff", 1), group("night", 7)),
			member("carl", []object{}),
		},
		"groups": []object{
			{"groupname": "staff", "roles": []object{role("office", -1)}, "clients": []object{{"username": "anna", "priority": 1}, {"username": "ben", "priority": 1}}},
			{"groupname": "night", "roles": []object{role("closed", -1)}, "clients": []object{{"username": "ben", "priority": 7}}},
			{"groupname": "guests", "roles": []object{role("guest", -1)}},
		},
		"roles": []object{
			{"rolename": "all", "acls": []object{rule("publishClientSend", "#", 0, true), rule("publishClientSend", "$own/#", 0, true), rule("publishClientSend", "$CONTROL/#", 0, true),
				rule("publishClientReceive", "$CONTROL/#", 0, true), rule("subscribePattern", "#", 0, true), rule("subscribePattern", "$own/#", 0, true)}},
			{"rolename": "reader", "acls": []object{rule("subscribePattern", "house/#", 0, true), rule("subscribeLiteral", "house/safe", 0, false),
				rule("publishClientSend", "#", 0, true), rule("subscribePattern", "+/low", 0, true), rule("subscribeLiteral", "garden/+", 0, true)}},
			{"rolename": "writer", "acls": []object{rule("publishClientSend", "house/#", 0, false), rule("publishClientSend", "house/door", 2, true),
				rule("publishClientReceive", "house/secret", 0, false)}},
			{"rolename": "office", "acls": []object{rule("subscribePattern", "office/+", 0, true), rule("publishClientSend", "office/#", 0, true),
				rule("subscribePattern", "$share/team/office/+", 0, true)}},
			{"rolename": "closed", "acls": []object{rule("publishClientSend", "office/safe", 0, false), rule("subscribeLiteral", "office/safe", 0, false),
				rule("unsubscribePattern", "office/#", 0, false), rule("unsubscribeLiteral", "office/a", 0, true)}},
			{"rolename": "guest", "acls": []object{rule("publishClientReceive", "house/#", 0, false), rule("subscribePattern", "#", 0, true)}},
		},
	}
}

// rolesPlace returns where the plugin is, and a state file for it.
func rolesPlace(t *testing.T) (plugin, state string) {
	t.Helper()
	plugins, _ := filepath.Glob(rolesPlugin)
	if len(plugins) == 0 {
		t.Fatalf("there is no %s: it comes with Debian's package mosquitto", rolesPlugin)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	state = filepath.Join(dir, "roles.json")
	text, err := json.Marshal(rolesFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return plugins[0], state
}

// TestRoles asks Mosquitto's dynamic security and our rules the same questions about one
// state file.
func TestRoles(t *testing.T) {
	plugin, state := rolesPlace(t)
	b := startMosquitto(t, "allow_anonymous true", "user root", "plugin "+plugin, "plugin_opt_config_file "+state)
	asked, allowed := 0, 0
	for _, user := range []string{"admin", "anna", "ben", "carl", ""} {
		for action, topics := range map[string][]string{
			"publish":   {"house/door", "house/roof", "garden", "office/a", "office/safe", "$SYS/x", "$own/x", "$CONTROL/x"},
			"receive":   {"house/x", "house/secret", "office/a", "garden"},
			"subscribe": {"house/#", "house/safe", "house/+/x", "house", "x/low", "+/low", "#", "garden/+", "garden/a", "office/+", "office/safe", "office/#", "$share/team/office/a", "$share/g/house/x", "$share/g/#", "$own/x", "$own/low", "$own/#", "$SYS/#", "$SYS/x"},
		} {
			for _, topic := range topics {
				want, ok := askRoles(t, b, user, action, topic)
				if !ok {
					continue
				}
				asked++
				if want {
					allowed++
				}
				explain := exec.Command(paths[colibri], "acl", "explain", "--roles", state, "-u", user, "-i", "c1", action, topic)
				output, err := explain.Output()
				if code := explain.ProcessState.ExitCode(); code > 1 {
					t.Fatalf("%s: %v", explain, err)
				} else if got := code == 0; got != want {
					t.Errorf("%q %s %s: got %v, want %v as Mosquitto; explained:\n%s", user, action, topic, got, want, output)
				}
			}
		}
	}
	if asked < 80 || allowed < 20 {
		t.Errorf("%d questions, %d answered with yes", asked, allowed)
	}
}

// askRoles asks Mosquitto. ok is false when it cannot be found out, as the client may not
// even subscribe.
func askRoles(t *testing.T, b *broker, user, action, topic string) (allowed, ok bool) {
	t.Helper()
	client := dialACL(t, b, user, "c1")
	defer client.Close()
	switch action {
	case "publish":
		return client.publish(topic, false) != packets.PubackNotAuthorized, true
	case "subscribe":
		return client.subscribe(topic) < 0x80, true
	case "unsubscribe":
		return client.unsubscribe(topic) < 0x80, true
	}
	if client.subscribe(topic) >= 0x80 {
		return false, false
	}
	admin := dialACL(t, b, "admin", "admin")
	defer admin.Close()
	if code := admin.publish(topic, false); code == packets.PubackNotAuthorized {
		t.Fatal(fmt.Sprint("admin may not publish to ", topic))
	}
	return client.hears("barrier"), true
}

// rolesACL is an ACL file beside the roles.
const rolesACL = `topic read public/#
user admin
topic #
user anna
topic garden/#
topic deny house/door
topic house/roof
user ben
topic office/safe
topic read house/secret
`

// TestRolesHeld asks both brokers the same questions about one state file, alone and beside
// an ACL file: what they let clients do, not only what they say about it.
func TestRolesHeld(t *testing.T) {
	for _, both := range []bool{false, true} {
		t.Run(fmt.Sprintf("with an ACL file %v", both), func(t *testing.T) {
			plugin, state := rolesPlace(t)
			lines := []string{"allow_anonymous true", "user root", "sys_interval 0"}
			if both {
				file := filepath.Join(filepath.Dir(state), "rules.acl")
				if err := os.WriteFile(file, []byte(rolesACL), 0o644); err != nil {
					t.Fatal(err)
				}
				lines = append(lines, "acl_file "+file)
			}
			m := startMosquitto(t, append(lines, "plugin "+plugin, "plugin_opt_config_file "+state)...)
			c := &broker{kind: colibri, port: freePort(t)}
			configuration := filepath.Join(t.TempDir(), "colibri.conf")
			text := fmt.Sprintf("listener %d 127.0.0.1\npersistence false\n%s\ncolibri_roles_file %s\n", c.port, strings.Join(lines, "\n"), state)
			if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			c.program = start(t, paths[colibri], "broker", "-c", configuration)
			c.waitUntilReady(t)
			asked, allowed := 0, 0
			for _, user := range []string{"admin", "anna", "ben", "carl", ""} {
				for action, topics := range map[string][]string{
					"publish":     {"house/door", "house/roof", "garden/a", "garden", "office/a", "office/safe", "public/a", "$SYS/x"},
					"receive":     {"house/x", "house/secret", "office/a", "garden/a", "public/a"},
					"subscribe":   {"house/#", "house/safe", "#", "garden/a", "office/safe", "office/a", "public/#", "$share/g/house/x", "$SYS/#"},
					"unsubscribe": {"office/a", "office/b", "office/#", "house/a", "#"},
				} {
					for _, topic := range topics {
						want, ok := askRoles(t, m, user, action, topic)
						got, okHere := askRoles(t, c, user, action, topic)
						if got != want || ok != okHere {
							t.Errorf("%q %s %s: got %v, %v, want %v, %v as Mosquitto", user, action, topic, got, okHere, want, ok)
						}
						if asked++; want {
							allowed++
						}
					}
				}
			}
			if allowed < 30 {
				t.Errorf("%d questions, %d answered with yes", asked, allowed)
			}
		})
	}
}
