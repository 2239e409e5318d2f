package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// readText reads text as the file "a.conf", without opening files.
func readText(text string) (*Config, error) {
	r := newReader("a.conf")
	if err := r.read("a.conf", []byte(text)); err != nil {
		return nil, err
	}
	return r.finish()
}

func TestRead(t *testing.T) {
	at := func(line, port int, host string) Listener {
		return Listener{File: "a.conf", Line: line, Port: port, Host: host, MaxConnections: -1}
	}
	for _, c := range []struct {
		text string
		want func(c *Config) // changes the default
	}{
		{"", func(*Config) {}},
		{"# a comment\n\n\r\n#another", func(*Config) {}},
		{"\uFEFFallow_anonymous true\r\n", func(c *Config) { c.AllowAnonymous = Yes }},
		{"  allow_anonymous \t false  ", func(c *Config) { c.AllowAnonymous = No }},
		{"allow_anonymous 1", func(c *Config) { c.AllowAnonymous = Yes }},
		{"listener 1883", func(c *Config) { c.Listeners = []Listener{at(1, 1883, "")} }},
		{"listener\t1883\t::1", func(c *Config) { c.Listeners = []Listener{at(1, 1883, "::1")} }},
		{"listener 1883 fe80::1%eth0", func(c *Config) { c.Listeners = []Listener{at(1, 1883, "fe80::1%eth0")} }},
		{"listener 0 127.0.0.1", func(c *Config) { c.Listeners = []Listener{at(1, 0, "127.0.0.1")} }},
		{"listener 0 /run/a b.sock", func(c *Config) {
			c.Listeners = []Listener{at(1, 0, "")}
			c.Listeners[0].Path, c.Listeners[0].Socket.Mode = "/run/a b.sock", 0o660
		}},
		{"listener 0 /run/s\ncolibri_socket_mode 0606\ncolibri_socket_owner alice\ncolibri_socket_group 4", func(c *Config) {
			c.Listeners = []Listener{at(1, 0, "")}
			c.Listeners[0].Path, c.Listeners[0].Socket = "/run/s", Socket{Mode: 0o606, Owner: "alice", Group: "4"}
		}},
		{"listener 1883\nmax_connections 5\nlistener 1884\nlistener_allow_anonymous true\nprotocol mqtt\nallow_anonymous false", func(c *Config) {
			first, second := at(1, 1883, ""), at(3, 1884, "")
			first.MaxConnections, second.AllowAnonymous = 5, Yes
			c.Listeners, c.AllowAnonymous = []Listener{first, second}, No
		}},
		{"per_listener_settings true\nlistener 1883\nallow_anonymous true\nlistener 1884", func(c *Config) {
			first, second := at(2, 1883, ""), at(4, 1884, "")
			first.AllowAnonymous = Yes
			c.Listeners = []Listener{first, second}
		}},
		{"per_listener_settings true\nallow_anonymous false", func(c *Config) { c.AllowAnonymous = No }},
		{"per_listener_settings true\nallow_anonymous true\nlistener 1883", func(c *Config) {
			c.Listeners = []Listener{at(3, 1883, "")}
			c.Warnings = []Warning{{"a.conf", 2, "allow_anonymous stands before the first listener and has no effect, because per_listener_settings is true"}}
		}},
		{"password_file /etc/my users\nlistener 1883", func(c *Config) {
			c.PasswordFile, c.Listeners = "/etc/my users", []Listener{at(2, 1883, "")}
		}},
		{"per_listener_settings true\nlistener 1883\npassword_file a\nlistener 1884", func(c *Config) {
			c.Listeners = []Listener{at(2, 1883, ""), at(4, 1884, "")}
			c.Listeners[0].PasswordFile = "a"
		}},
		{"per_listener_settings true\npassword_file a", func(c *Config) { c.PasswordFile = "a" }},
		{"per_listener_settings true\npassword_file a\nport 1884", func(c *Config) {
			c.Listeners = []Listener{at(3, 1884, "")}
			c.Listeners[0].PasswordFile = "a"
		}},
		{"per_listener_settings true\npassword_file a\nlistener 1883", func(c *Config) {
			c.Listeners = []Listener{at(3, 1883, "")}
			c.Warnings = []Warning{{"a.conf", 2, "password_file stands before the first listener and has no effect, because per_listener_settings is true"}}
		}},
		{"colibri_login_checks 3\ncolibri_login_queue 7\ncolibri_login_remember 0\ncolibri_login_failures 2\ncolibri_login_ban 60\ncolibri_scram_file s", func(c *Config) {
			c.Login = Login{Checks: 3, Queue: 7, Failures: 2, Ban: time.Minute, Scram: "s"}
		}},
		{"port 1884", func(c *Config) { c.Listeners = []Listener{at(1, 1884, "")} }},
		{"listener 1885\nport 1884\nbind_address 127.0.0.1", func(c *Config) {
			c.Listeners = []Listener{at(2, 1884, "127.0.0.1"), at(1, 1885, "")}
		}},
		{"listener 1883\nlistener 9001\nprotocol websockets\nwebsockets_origin https://example.org\nwebsockets_origin http://localhost:8080\nwebsockets_headers_size 8192\nwebsockets_log_level 7", func(c *Config) {
			second := at(2, 9001, "")
			second.WebSocket, second.Origins = true, []string{"https://example.org", "http://localhost:8080"}
			c.Listeners, c.WebSocketHeaderBytes = []Listener{at(1, 1883, ""), second}, 8192
		}},
		{"port 9001\nprotocol websockets", func(c *Config) {
			l := at(1, 9001, "")
			l.WebSocket = true
			c.Listeners = []Listener{l}
		}},
		{"listener 1883\nenable_proxy_protocol 1\nlistener 1884\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\ncolibri_proxy_from 192.0.2.77/24, 2001:db8::1\ncolibri_proxy_from ::ffff:198.51.100.1", func(c *Config) {
			first, second := at(1, 1883, ""), at(3, 1884, "")
			first.Proxy.Version = 1
			second.Proxy = Proxy{2, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128"),
				netip.MustParsePrefix("198.51.100.1/32")}, true}
			c.Listeners = []Listener{first, second}
			c.Warnings = []Warning{{"a.conf", 1, "this listener has enable_proxy_protocol without colibri_proxy_from, so only proxies on this machine and in private networks may connect to it; add 'colibri_proxy_from NETWORK' with those of yours"}}
		}},
		{"listener 0 /run/a.sock\nenable_proxy_protocol 2", func(c *Config) {
			c.Listeners = []Listener{at(1, 0, "")}
			c.Listeners[0].Path, c.Listeners[0].Socket.Mode, c.Listeners[0].Proxy.Version = "/run/a.sock", socketMode, 2
		}},
		{"max_connections -1", func(*Config) {}},
		{"max_connections 7", func(c *Config) {
			l := at(1, 1883, "")
			l.MaxConnections = 7
			c.Listeners = []Listener{l}
			c.Warnings = []Warning{{"a.conf", 1, "'max_connections' stands before every listener, and so opens port 1883 on all addresses; write it behind its listener"}}
		}},
		{"global_max_connections 9\nmax_inflight_messages 1\nmax_queued_messages 0\nmax_queued_bytes 0\nmax_packet_size 20\nmax_keepalive 60\nmax_topic_alias 3", func(c *Config) {
			c.MaxConnections, c.MaxInflightMessages, c.MaxQueuedMessages, c.MaxQueuedBytes = 9, 1, 0, 0
			c.MaxPacketBytes, c.MaxKeepAlive, c.MaxTopicAlias = 20, 60, 3
		}},
		{"persistent_client_expiration 2w", func(c *Config) { c.PersistentClientExpiration = 14 * 24 * time.Hour }},
		{"log_dest stdout\nlog_dest file /var/log/a b.log", func(c *Config) {
			c.Log.Stderr, c.Log.Stdout, c.Log.File = false, true, "/var/log/a b.log"
		}},
		{"log_dest none", func(c *Config) { c.Log.Stderr = false }},
		{"log_dest topic", func(c *Config) { c.Log.Stderr, c.Log.Topic = false, true }},
		{"log_dest syslog", func(c *Config) {
			c.Warnings = []Warning{{"a.conf", 1, "this version does not log to 'syslog'; the log goes to stderr instead"}}
		}},
		{"log_type error\nlog_type subscribe", func(c *Config) {
			c.Log.Warnings, c.Log.Notices, c.Log.Information, c.Log.Subscribe = false, false, false, true
		}},
		{"log_type all", func(c *Config) { c.Log.Debug, c.Log.Subscribe, c.Log.Unsubscribe = true, true, true }},
		{"log_timestamp false\nlog_timestamp_format %Y-%m-%dT%H:%M:%S\nconnection_messages false", func(c *Config) {
			c.Log.Timestamp, c.Log.TimestampFormat, c.Log.ConnectionMessages = false, "%Y-%m-%dT%H:%M:%S", false
		}},
		{"pid_file /run/a.pid\nuser mosquitto", func(c *Config) {
			c.PIDFile, c.User = "/run/a.pid", User{"mosquitto", "a.conf", 2}
		}},
		{"persistence false\npersistence_location /var/lib/x/\nautosave_interval 1800\nretry_interval 20\nallow_duplicate_messages false", func(c *Config) {
			c.Persistence, c.PersistenceLocation = No, "/var/lib/x/"
		}},
		{"persistence true", func(c *Config) { c.Persistence = Yes }},
		{"sys_interval 0\nset_tcp_nodelay true\nretain_available true\naccept_protocol_versions 3,4,5\nrequire_certificate false", func(c *Config) { c.SysInterval = 0 }},
		{"max_qos 2\nmax_qos 2\nretain_available false\nmax_topic_alias_broker 0", func(c *Config) {
			c.MaxQoS, c.RetainAvailable, c.MaxTopicAliasBroker = 2, false, 0
		}},
		{"colibri_when_full drop-oldest\ncolibri_share_strategy hash-topic\ncolibri_sync interval\ncolibri_checkpoint 65536\ncolibri_state_quota 65536\ncolibri_server_reference b2.example:1883\ncolibri_control /run/c\ncolibri_recorder 524288\ncolibri_recorder_dumps dumps\ncolibri_disconnect_denied true\ncolibri_check_payloads true\ncolibri_message_rate 1\ncolibri_byte_rate 2\n" +
			"colibri_connect_rate 3\ncolibri_max_unauthenticated 4\ncolibri_max_subscriptions 5\ncolibri_max_topic_levels 6\n" +
			"colibri_max_topic_bytes 7\ncolibri_max_retained 8\ncolibri_max_retained_bytes 9", func(c *Config) {
			c.Own = Own{"drop-oldest", "hash-topic", "interval", 65536, 65536, "b2.example:1883", "/run/c", 524288, "dumps", true, true, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		}},
		{"colibri_max_connections_per_address 7\ncolibri_takeover_pause 5", func(c *Config) { c.Abuse = Abuse{7, 5 * time.Second} }},
		{"sys_interval 60", func(c *Config) { c.SysInterval = time.Minute }},
		{"max_keepalive 60 # one minute", func(c *Config) {
			c.MaxKeepAlive = 60
			c.Warnings = []Warning{{"a.conf", 1, "the comment behind the value is left out; a comment should begin in the first column"}}
		}},
	} {
		want := Default()
		want.File = "a.conf"
		c.want(want)
		got, err := readText(c.text)
		if err != nil {
			t.Errorf("%q: got the error %v", c.text, err)
		} else if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%q: want and got differ (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		want string // in the error
	}{
		{"foo bar", 1, "'foo' is not an option"},
		{"\nalow_anonymous true", 2, "the nearest is 'allow_anonymous'"},
		{"Listener 1883", 1, "the nearest is 'listener'"},
		{"max_inflight 1", 1, "is not an option"},
		{"allow_anonymous=true", 1, "written with '='; write 'allow_anonymous', a space"},
		{strings.Repeat("x", 1000), 1, "a word of 1000 letters"},
		{" # comment", 1, "must begin in the first column"},
		{"allow_anonymous", 1, "has no value; write true or false"},
		{"allow_anonymous yes", 1, "'yes' is not a value for 'allow_anonymous'; write true or false"},
		{"allow_anonymous True", 1, "'True' is not a value"},
		{"max_keepalive 65536", 1, "write a number from 0 to 65535"},
		{"max_keepalive 1e3", 1, "'1e3' is not a value"},
		{"max_queued_messages 10 000", 1, "takes one value, and '000' follows"},
		{"max_queued_messages -1", 1, "a number of at least 0"},
		{"max_packet_size 19", 1, "from 20 to"},
		{"max_packet_size 99999999999999999999", 1, "is not a value"},
		{"max_connections 0", 1, "-1 for no limit"},
		{"listener 0 /run/s\ncolibri_socket_mode 0880", 2, "'0880' is not a mode; write permissions in octal"},
		{"listener 0 /run/s\ncolibri_socket_mode 0", 2, "is not a mode"},
		{"listener 0 /run/s\ncolibri_socket_mode 4755", 2, "is not a mode"},
		{"colibri_socket_mode 0660\nlistener 0 /run/s", 1, "write it behind 'listener 0 /path'"},
		{"listener 1883\ncolibri_socket_group x", 1, "is not on a Unix domain socket"},
		{"max_topic_alias 0", 1, "from 1 to 65535"},
		{"listener 1\nmax_topic_alias 3\nlistener 2\nmax_topic_alias 4", 4, "was 3 before"},
		{"persistent_client_expiration 10", 1, "as in 14d"},
		{"persistent_client_expiration d", 1, "as in 14d"},
		{"persistent_client_expiration 0d", 1, "as in 14d"},
		{"persistent_client_expiration 999999999999y", 1, "as in 14d"},
		{"listener", 1, "has no value"},
		{"listener mqtt", 1, "'mqtt' is not a port"},
		{"listener 0", 1, "port 0 is for Unix domain sockets"},
		{"listener 70000", 1, "'70000' is not a port"},
		{"listener 1883 /run/a.sock", 1, "write 'listener 0 /run/a.sock'"},
		{"listener 1883 host # all", 1, "'host # all' is more"},
		{"listener 1883 host:1884", 1, "without brackets and port"},
		{"listener 1883 [::1]", 1, "without brackets and port"},
		{"listener 1883\n\nlistener 1883", 3, "the same as the one in a.conf:1"},
		{"port 1883\nlistener 1883", 2, "the same as the one in a.conf:1"},
		{"protocol tcp", 1, "write mqtt, websockets or quic"},
		{"protocol http_api", 1, "serves no HTTP yet"},
		{"listener 0 /run/a.sock\nprotocol websockets", 1, "give it a port"},
		{"listener 1883\nwebsockets_origin https://example.org", 1, "add 'protocol websockets'"},
		{"listener 1883\nenable_proxy_protocol 3", 2, "a number from 1 to 2"},
		{"listener 1883\nenable_proxy_protocol 1\nproxy_protocol_v2_require_tls true", 1, "add 'enable_proxy_protocol 2'"},
		{"listener 1883\ncolibri_proxy_from 10.0.0.0/8", 1, "add 'enable_proxy_protocol 2'"},
		{"listener 1883\ncolibri_proxy_from 10.0.0.0/33", 2, "'10.0.0.0/33' is not a network"},
		{"listener 1883\ncolibri_proxy_from 10.0.0.1, proxy", 2, "'proxy' is not a network"},
		{"listener 1883\ncolibri_proxy_from ::ffff:10.0.0.0/104", 2, "is not a network"},
		{"listener 1883\nprotocol quic", 1, "add certfile and keyfile"},
		{"listener 1883\nprotocol quic\ncertfile a\nkeyfile b\nenable_proxy_protocol 2", 1, "the PROXY protocol is for TCP"},
		{"listener 1883\nprotocol quic\nprotocol websockets", 1, "take one of them out"},
		{"listener 0 /run/a.sock\nprotocol quic", 1, "give it a port"},
		{"websockets_headers_size 65536", 1, "from 0 to 65535"},
		{"log_dest printer", 1, "stderr, stdout, topic, none or file PATH"},
		{"log_dest file", 1, "has no path"},
		{"log_dest file a\nlog_dest file b", 2, "only one file"},
		{"log_dest stderr file", 1, "takes nothing behind it"},
		{"log_type verbose", 1, "is not a type of log lines"},
		{"accept_protocol_versions 5", 1, "all of 3, 4 and 5"},
		{"max_qos 1\nmax_qos 2", 2, "max_qos was 1 before"},
		{"colibri_state_quota 1000", 1, "1000 bytes are too few for a state; give at least 65536, or 0 for no limit"},
		{"colibri_recorder 1000", 1, "1000 bytes are too few for the flight recorder; give at least 524288, or 0 for none"},
		{"colibri_when_full never", 1, "'never' is none of drop-newest, drop-oldest or reject"},
		{"colibri_control c", 1, "'c' is not an absolute path; write one, such as /run/colibri.control, or none"},
		{"colibri_takeover_pause 6", 1, "a number from 0 to 5"},
		{"colibri_max_topic_levels 0", 1, "colibri_max_topic_levels"},
		{"queue_qos0_messages true", 1, "cannot be honoured"},
		{"disable_client_cert_date_checks true", 1, "cannot be honoured"},
		{"pid_file /run/\x1b[2Ja", 1, "cannot be meant"},
		{"pid_file /run/\xff", 1, "not written in UTF-8"},
		{"pid_file /run/\u2028\u0085x", 1, `'\u0085'`},
	} {
		_, err := readText(c.text)
		var mistake *Error
		if !errors.As(err, &mistake) || mistake.Line != c.line || mistake.File != "a.conf" || !strings.Contains(mistake.Text, c.want) {
			t.Errorf("%q: got %v, want line %d and %q", c.text, err, c.line, c.want)
		}
	}
}

// TestNeverIgnored covers the options that protect something: the broker must not start
// as if they were not there.
func TestNeverIgnored(t *testing.T) {
	for _, name := range words(`plugin global_plugin plugin_opt_auth_plugin auth_opt_x
		plugin_load plugin_use tls_engine tls_engine_kpass_sha1 psk_file psk_hint
		clientid_prefixes mount_point bind_interface socket_domain connection bridge_cafile address topic
		http_dir`) {
		for _, text := range []string{name + " x", name} {
			_, err := readText("listener 1883\n" + text + "\n")
			var mistake *Error
			if !errors.As(err, &mistake) || mistake.Line != 2 || mistake.Key != name || !strings.Contains(mistake.Text, "cannot be honoured") {
				t.Errorf("%q: got %v, want a.conf:2 and that it cannot be honoured", text, err)
			}
		}
	}
}

// TestTable checks that the table is whole: each row says what becomes of the option,
// and the standard value of each is the one of Default.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range options {
		for _, name := range o.names {
			if seen[name] {
				t.Errorf("%s stands twice in the table", name)
			}
			seen[name] = true
		}
		ways := 0
		for _, way := range []bool{o.set != nil, o.refused != "", o.only != "", o.ignored} {
			if way {
				ways++
			}
		}
		if ways != 1 {
			t.Errorf("%s: got %d of set, refused, only and ignored, want 1", o.names[0], ways)
		}
		standard := o.standard + o.only
		if standard == "" || o.names[0] == "port" {
			continue
		}
		want := Default()
		want.File = "a.conf"
		if o.names[0] == "max_topic_alias" {
			want.MaxTopicAlias = 10
		}
		text := ""
		for value := range strings.SplitSeq(standard, ", ") {
			if o.names[0] == "accept_protocol_versions" {
				value = standard
			}
			text += o.names[0] + " " + value + "\n"
		}
		got, err := readText(text)
		if err != nil {
			t.Errorf("%q: got the error %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q, the standard value, is not that of Default (-want +got):\n%s", text, diff)
		}
	}
}

func TestAnonymous(t *testing.T) {
	for _, c := range []struct {
		text string
		want []bool // of the local listeners, or of each listener
	}{
		{"", []bool{true}},
		{"allow_anonymous false", []bool{false}},
		{"allow_anonymous true", []bool{true}},
		{"listener 1", []bool{false}},
		{"port 1", []bool{false}},
		{"listener 1\nallow_anonymous true", []bool{true}},
		{"allow_anonymous true\nlistener 1\nlistener 2\nlistener_allow_anonymous false", []bool{true, false}},
		{"listener 1\nlistener_allow_anonymous true\nlistener 2", []bool{true, false}},
		{"per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2", []bool{true, false}},
	} {
		config, err := readText(c.text)
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		var got []bool
		if config.LocalOnly() {
			got = append(got, config.Anonymous(nil))
		}
		for i := range config.Listeners {
			got = append(got, config.Anonymous(&config.Listeners[i]))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.text, got, c.want)
		}
	}
}

func TestFiles(t *testing.T) {
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("d/b.conf", "max_keepalive 2\n")
	write("d/C.conf", "max_keepalive 1\nlistener 1884\n")
	write("d/a.conf.bak", "nonsense")
	included := filepath.Join(directory, "d")

	got, err := Read(write("main.conf", "listener 1883\ninclude_dir "+included+"\nmax_connections 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got.MaxKeepAlive != 2 {
		t.Errorf("max_keepalive: got %d, want 2 of b.conf, which is read after C.conf", got.MaxKeepAlive)
	}
	want := []Listener{
		{File: filepath.Join(directory, "main.conf"), Line: 1, Port: 1883, MaxConnections: -1},
		{File: filepath.Join(included, "C.conf"), Line: 2, Port: 1884, MaxConnections: 3},
	}
	if diff := cmp.Diff(want, got.Listeners); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}

	write("d/z.conf", "\ninclude_dir "+included)
	for _, c := range []struct{ path, want string }{
		{filepath.Join(directory, "main.conf"), filepath.Join(included, "z.conf") + ":2: include_dir may stand in the main file only"},
		{write("no.conf", "include_dir /nonexistent"), "no.conf:1: the directory '/nonexistent' cannot be read: no such file"},
		{filepath.Join(directory, "none.conf"), "none.conf: cannot be read: no such file"},
		{directory, ": cannot be read: is a directory"},
		{write("large.conf", strings.Repeat("#\n", maxFileBytes)), "more than 1048576 bytes"},
	} {
		_, err := Read(c.path)
		var mistake *Error
		if !errors.As(err, &mistake) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Read(%s): got %v, want %q", c.path, err, c.want)
		}
	}
}

// FuzzRead checks that every text is read or refused with its place, and that what is
// accepted keeps within the ranges of the table.
func FuzzRead(f *testing.F) {
	for i := range options {
		for _, name := range options[i].names {
			f.Add(name + " 1\n")
		}
	}
	f.Add("listener 0 /a\nlistener 1883 ::1\n# x\n x")
	f.Add("log_dest file a b\npersistent_client_expiration 3m")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "include_dir") {
			return // opens files
		}
		c, err := readText(text)
		if err != nil {
			var mistake *Error
			if !errors.As(err, &mistake) || mistake.Line < 1 || strings.ContainsFunc(err.Error(), forbidden) {
				t.Fatalf("got %q, want an *Error of one line with its place", err)
			}
			return
		}
		if c.MaxKeepAlive < 0 || c.MaxKeepAlive > 65535 || c.MaxPacketBytes < 20 || c.MaxInflightMessages > 65535 || c.PersistentClientExpiration < 0 {
			t.Errorf("out of range: %+v", c)
		}
		for _, l := range c.Listeners {
			if l.Port < 0 || l.Port > 65535 || l.Line < 1 || l.MaxConnections == 0 {
				t.Errorf("listener out of range: %+v", l)
			}
		}
	})
}
