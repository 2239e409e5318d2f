package config

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// kind says what values an option takes.
type kind int

const (
	text    kind = iota // the rest of the line
	boolean             // true or false
	number              // within the option's range
	age                 // a number with a unit: s h d w m y
)

// scope says to what an option belongs.
type scope int

const (
	global   scope = iota
	listener       // to the last listener before it, else to the default one
	bridge         // to the last connection before it
)

// option is one row of the table of options. Exactly one of set, refused, only and
// ignored says what becomes of it.
type option struct {
	names    []string
	kind     kind
	scope    scope
	min, max int    // of a number
	standard string // the value that holds when no file says it

	set     func(r *reader, v value) error
	refused string // the option protects something or changes what clients see: what this version lacks
	only    string // the one value that this version has; any other is refused
	ignored bool   // accepted, and nobody misses its effect
}

// value is the value of an option as its kind reads it.
type value struct {
	text   string
	number int
	yes    bool
	age    time.Duration
}

// What this version lacks, for option.refused.
const (
	noHTTP    = "serves no HTTP yet"
	noBridges = "has no bridges to other brokers yet"
	noPlugins = "loads no plugins"
	notYet    = "does not do this yet"
)

// most is the greatest number where there is no better limit.
const most = 1<<31 - 1

// options is the table of all options of mosquitto.conf. It is filled by init because
// the rows call functions that look options up.
var options []option

func init() {
	options = []option{
		// Listeners.
		{names: words("listener"), set: (*reader).addListener},
		{names: words("port"), kind: number, min: 1, max: 65535, standard: "1883", set: func(r *reader, v value) error {
			r.useStandard()
			r.standard.Port = v.number
			return nil
		}},
		{names: words("bind_address"), set: func(r *reader, v value) error {
			r.useStandard()
			r.standard.Host = v.text
			return r.checkHost(v.text)
		}},
		{names: words("protocol"), scope: listener, standard: "mqtt", set: func(r *reader, v value) error {
			switch v.text {
			case "mqtt":
				return nil
			case "websockets":
				r.listener().WebSocket = true
				return nil
			case "quic": // ours: Mosquitto refuses the value
				r.listener().QUIC = true
				return nil
			case "http_api":
				return r.refuse(noHTTP)
			}
			return r.errorf("'%s' is not a protocol; write mqtt, websockets or quic", v.text)
		}},
		{names: words("max_connections"), kind: number, scope: listener, min: -1, max: most, standard: "-1",
			set: func(r *reader, v value) error {
				if v.number == 0 {
					return r.errorf("max_connections 0 would let nobody in; write -1 for no limit")
				}
				if v.number < 0 && r.current == nil {
					return nil // the default: it opens no listener
				}
				r.listener().MaxConnections = v.number
				return nil
			}},
		{names: words("listener_allow_anonymous"), kind: boolean, scope: listener, set: func(r *reader, v value) error {
			r.listener().AllowAnonymous = choice(v.yes)
			return nil
		}},
		{names: words("max_topic_alias"), kind: number, scope: listener, min: 1, max: 65535, standard: "10",
			set: func(r *reader, v value) error {
				if old := r.config.MaxTopicAlias; old >= 0 && old != v.number {
					return r.errorf("max_topic_alias was %d before, and this version has one value for all listeners; write the same value everywhere", old)
				}
				r.config.MaxTopicAlias = v.number
				return nil
			}},
		{names: words("max_qos maximum_qos"), kind: number, scope: listener, max: 2, set: func(r *reader, v value) error {
			if old := r.config.MaxQoS; old >= 0 && old != v.number {
				return r.errorf("max_qos was %d before, and this version has one value for all listeners; write the same value everywhere", old)
			}
			r.config.MaxQoS = v.number
			return nil
		}},
		{names: words("accept_protocol_versions"), scope: listener, standard: "3, 4, 5", set: func(r *reader, v value) error {
			versions := strings.FieldsFunc(v.text, func(c rune) bool { return c == ',' || c == ' ' })
			for _, want := range words("3 4 5") {
				if !slices.Contains(versions, want) {
					return r.errorf("this version accepts all of 3, 4 and 5; write 'accept_protocol_versions 3, 4, 5' or take the line out")
				}
			}
			return nil
		}},
		{names: words("mount_point bind_interface socket_domain"), scope: listener, refused: notYet},
		{names: words("use_username_as_clientid"), kind: boolean, scope: listener, only: "false"},
		{names: words("enable_proxy_protocol"), kind: number, scope: listener, min: 1, max: 2, set: func(r *reader, v value) error {
			r.listener().Proxy.Version = v.number
			return nil
		}},
		{names: words("proxy_protocol_v2_require_tls"), kind: boolean, scope: listener, standard: "false", set: func(r *reader, v value) error {
			if !v.yes && r.current == nil {
				return nil // the default: it opens no listener
			}
			r.listener().Proxy.RequireTLS = v.yes
			return nil
		}},
		{names: words("http_dir"), scope: listener, refused: noHTTP},
		{names: words("websockets_origin"), scope: listener, set: func(r *reader, v value) error {
			l := r.listener()
			l.Origins = append(l.Origins, v.text)
			return nil
		}},
		{names: words("websockets_headers_size packet_buffer_size"), kind: number, max: 65535, set: func(r *reader, v value) error {
			r.config.WebSocketHeaderBytes = v.number
			return nil
		}},
		{names: words("websockets_log_level"), kind: number, max: most, scope: listener, ignored: true},

		// Who may connect.
		{names: words("allow_anonymous"), kind: boolean, set: func(r *reader, v value) error {
			switch {
			case !r.perListener:
				r.config.AllowAnonymous = choice(v.yes)
			case r.current == nil:
				r.standard.AllowAnonymous, r.standard.File, r.standard.Line = choice(v.yes), r.file, r.line
			default:
				r.current.AllowAnonymous = choice(v.yes)
			}
			return nil
		}},
		{names: words("per_listener_settings"), kind: boolean, standard: "false", set: func(r *reader, v value) error {
			if r.secured {
				return r.errorf("per_listener_settings changes what allow_anonymous, password_file and acl_file belong to; write it above all of them")
			}
			r.perListener = v.yes
			return nil
		}},
		{names: words("password_file"), set: (*reader).passwordFile},
		{names: words("clientid_prefixes"), refused: notYet},
		{names: words("plugin global_plugin plugin_load plugin_use auth_plugin"), refused: noPlugins},
		{names: words("auth_plugin_deny_special_chars"), kind: boolean, ignored: true},

		// Limits.
		{names: words("global_max_connections"), kind: number, min: -1, max: most, standard: "-1", set: func(r *reader, v value) error {
			if v.number == 0 {
				return r.errorf("global_max_connections 0 would let nobody in; write -1 for no limit")
			}
			r.config.MaxConnections = v.number
			return nil
		}},
		{names: words("global_max_clients"), kind: number, min: -1, max: most, only: "-1"},
		{names: words("max_inflight_messages"), kind: number, max: 65535, standard: "20", set: func(r *reader, v value) error {
			r.config.MaxInflightMessages = v.number
			return nil
		}},
		{names: words("max_queued_messages"), kind: number, max: most, standard: "100000", set: func(r *reader, v value) error {
			r.config.MaxQueuedMessages = v.number
			return nil
		}},
		{names: words("max_queued_bytes"), kind: number, max: most, set: func(r *reader, v value) error {
			r.config.MaxQueuedBytes = v.number
			return nil
		}},
		{names: words("max_inflight_bytes memory_limit message_size_limit"), kind: number, max: most, only: "0"},
		{names: words("max_packet_size"), kind: number, min: 20, max: 268_435_460, standard: "2000000", set: func(r *reader, v value) error {
			r.config.MaxPacketBytes = v.number
			return nil
		}},
		{names: words("max_keepalive"), kind: number, max: 65535, standard: "0", set: func(r *reader, v value) error {
			r.config.MaxKeepAlive = v.number
			return nil
		}},
		{names: words("persistent_client_expiration"), kind: age, set: func(r *reader, v value) error {
			r.config.PersistentClientExpiration = v.age
			return nil
		}},
		{names: words("max_topic_alias_broker"), kind: number, max: 65535, set: func(r *reader, v value) error {
			r.config.MaxTopicAliasBroker = v.number
			return nil
		}},

		// Protocol.
		{names: words("retain_available"), kind: boolean, standard: "true", set: func(r *reader, v value) error {
			r.config.RetainAvailable = v.yes
			return nil
		}},
		{names: words("allow_zero_length_clientid"), kind: boolean, only: "true"},
		{names: words("queue_qos0_messages upgrade_outgoing_qos enable_control_api"), kind: boolean, only: "false"},
		{names: words("retain_expiry_interval"), kind: number, max: most, only: "0"},
		{names: words("auto_id_prefix listener_auto_id_prefix"), only: "auto-"},
		{names: words("check_retain_source allow_duplicate_messages"), kind: boolean, ignored: true},
		{names: words("set_tcp_nodelay"), kind: boolean, set: func(r *reader, v value) error {
			if !v.yes {
				r.warn("set_tcp_nodelay is always true here, because the broker writes whole batches")
			}
			return nil
		}},
		{names: words("sys_interval"), kind: number, max: 65535, standard: "10", set: func(r *reader, v value) error {
			r.config.SysInterval = time.Duration(v.number) * time.Second
			return nil
		}},

		// State.
		{names: words("persistence"), kind: boolean, set: func(r *reader, v value) error {
			r.config.Persistence = choice(v.yes)
			return nil
		}},
		{names: words("persistence_location"), set: func(r *reader, v value) error {
			r.config.PersistenceLocation = v.text
			return nil
		}},
		{names: words("persistence_file"), ignored: true},
		{names: words("autosave_interval"), kind: number, max: most, ignored: true},
		{names: words("autosave_on_changes"), kind: boolean, ignored: true},

		// The log, and the process.
		{names: words("log_dest"), standard: "stderr", set: (*reader).logDestination},
		{names: words("log_type"), standard: "error, warning, notice, information", set: (*reader).logType},
		{names: words("log_timestamp"), kind: boolean, standard: "true", set: func(r *reader, v value) error {
			r.config.Log.Timestamp = v.yes
			return nil
		}},
		{names: words("log_timestamp_format"), set: func(r *reader, v value) error {
			r.config.Log.TimestampFormat = v.text
			return nil
		}},
		{names: words("log_facility"), kind: number, max: 7, ignored: true},
		{names: words("connection_messages"), kind: boolean, standard: "true", set: func(r *reader, v value) error {
			r.config.Log.ConnectionMessages = v.yes
			return nil
		}},
		{names: words("pid_file"), set: func(r *reader, v value) error {
			r.config.PIDFile = v.text
			return nil
		}},
		{names: words("user"), set: func(r *reader, v value) error {
			r.config.User = User{Name: v.text, File: r.file, Line: r.line}
			return nil
		}},
		{names: words("include_dir"), set: func(r *reader, v value) error { return r.include(filepath.Clean(v.text)) }},

		// Bridges. The first of them refuses the file.
		{names: words("connection address addresses topic remote_clientid remote_username remote_password local_clientid local_username " +
			"local_password clientid username password cleansession local_cleansession start_type threshold idle_timeout " +
			"restart_timeout round_robin keepalive_interval notifications notifications_local_only notification_topic try_private " +
			"bridge_attempt_unsubscribe bridge_protocol_version bridge_max_packet_size bridge_max_topic_alias " +
			"bridge_receive_maximum bridge_session_expiry_interval bridge_outgoing_retain bridge_bind_address " +
			"bridge_tcp_keepalive bridge_tcp_user_timeout bridge_reload_type bridge_cafile bridge_capath bridge_certfile " +
			"bridge_keyfile bridge_tls_use_os_certs bridge_tls_version bridge_ciphers bridge_ciphers_tls1.3 bridge_insecure " +
			"bridge_alpn bridge_require_ocsp bridge_identity bridge_psk"),
			scope: bridge, refused: noBridges},

		// Of older versions of Mosquitto; they have no effect there either.
		{names: words("retry_interval retained_persistence"), ignored: true},
	}
	options = append(options, tlsOptions()...)
	options = append(options, ownOptions()...)
	options = append(options, socketOptions()...)
	options = append(options, proxyOptions()...)
	options = append(options, abuseOptions()...)
	options = append(options, accessOptions()...)
	options = append(options, loginOptions()...)
	options = append(options, remoteOptions()...)
}

func words(names string) []string { return strings.Fields(names) }

func choice(yes bool) Choice {
	if yes {
		return Yes
	}
	return No
}

// lookup returns the option called name, nil if there is none. Options for plugins have
// names of the plugin's choice.
func lookup(name string) *option {
	for i := range options {
		if slices.Contains(options[i].names, name) {
			return &options[i]
		}
	}
	if strings.HasPrefix(name, "plugin_opt_") || strings.HasPrefix(name, "auth_opt_") {
		return &option{names: []string{name}, refused: noPlugins}
	}
	return nil
}
