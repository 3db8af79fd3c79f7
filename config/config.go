package config

import (
	"net/netip"
	"path/filepath"
)

// Config is the whole configuration. It is read once and never changes.
type Config struct {
	Server       Server       `key:"server"`
	Listen       Listen       `key:"listen"`
	Database     Database     `key:"database"`
	Registration Registration `key:"registration"`
	Password     Password     `key:"password"`
	Accounts     Accounts     `key:"accounts"`
	Email        Email        `key:"email"`
	Support      Support      `key:"support"`
	Rooms        Rooms        `key:"rooms"`
	Media        Media        `key:"media"`
	Federation   Federation   `key:"federation"`
	Policy       Policy       `key:"policy"`
	Push         Push         `key:"push"`
	Previews     Previews     `key:"previews"`
	Limits       Limits       `key:"limits"`
	Retention    Retention    `key:"retention"`
	Ledger       Ledger       `key:"ledger"`
	Log          Log          `key:"log"`
	Calls        Calls        `key:"calls"`
	TURN         TURN         `key:"turn"`
	Appservices  Appservices  `key:"appservices"`

	// Services are the registrations of the application services, read from their files.
	Services []Appservice

	// File is where it was read from, "" without a file.
	File string
}

// Server says who this server is and where it keeps its data.
type Server struct {
	Name       string   `key:"name"`
	PublicURL  string   `key:"public_url"`
	DataDir    string   `key:"data_dir"`
	SigningKey string   `key:"signing_key"`
	Tenants    []Tenant `key:"tenants"`
}

// Tenant is a further organisation in the same process.
type Tenant struct {
	Name       string `key:"name"`
	SigningKey string `key:"signing_key"`
}

// Listen says on which addresses the server answers; "" turns one off.
type Listen struct {
	Client         string         `key:"client"`
	ClientTLS      bool           `key:"client_tls"`
	Federation     string         `key:"federation"`
	Metrics        string         `key:"metrics"`
	Pprof          string         `key:"pprof"`
	TLSCert        string         `key:"tls_cert"`
	TLSKey         string         `key:"tls_key"`
	TrustedProxies []netip.Prefix `key:"trusted_proxies"`
	ProxyProtocol  bool           `key:"proxy_protocol"`
}

// Federation says with which other servers this one speaks.
type Federation struct {
	Allow        []string `key:"allow"`
	AllowPrivate bool     `key:"allow_private"`
	CA           string   `key:"ca"`
	DeviceNames  bool     `key:"device_names"`
	Address      string   `key:"address"`
	Source       string   `key:"source"`
}

// Push says by which gateways users may be notified, and what these are told.
type Push struct {
	Allow        []string `key:"allow"`
	AllowPrivate bool     `key:"allow_private"`
	Content      bool     `key:"content"`
	Notices      bool     `key:"notices"`
}

// Previews says whether previews of web pages are made, and of which hosts.
type Previews struct {
	Enabled      bool     `key:"enabled"`
	Allow        []string `key:"allow"`
	AllowPrivate bool     `key:"allow_private"`
}

// Database names the database: a PostgreSQL URL, or else a SQLite file.
type Database struct {
	URL         string `key:"url"`
	Path        string `key:"path"`
	Connections int    `key:"connections"`
}

// Registration says who may make an account.
type Registration struct {
	Open             bool     `key:"open"`
	Tokens           []string `key:"tokens"`
	SharedSecret     string   `key:"shared_secret"`
	SharedSecretFile string   `key:"shared_secret_file"`
	EmailRequired    bool     `key:"email_required"`
	Emails           []string `key:"emails"`
}

// Password is the cost of hashing a password with argon2id, what new passwords must be like, and the pepper of bcrypt
// hashes that came from another server.
type Password struct {
	Argon2Time       int    `key:"argon2_time"`
	Argon2MemoryKiB  int    `key:"argon2_memory_kib"`
	MinLength        int    `key:"min_length"`
	MinKinds         int    `key:"min_kinds"`
	BcryptPepper     string `key:"bcrypt_pepper"`
	BcryptPepperFile string `key:"bcrypt_pepper_file"`
}

// Rooms holds what new rooms get.
type Rooms struct {
	DefaultVersion string `key:"default_version"`
}

// Media says where uploaded files are kept and how many there may be.
type Media struct {
	Path           string `key:"path"`
	MaxUploadMiB   int    `key:"max_upload_mib"`
	QuotaMiB       int    `key:"quota_mib"`
	Legacy         bool   `key:"legacy"`
	ImageMemoryMiB int    `key:"image_memory_mib"`
	Clamd          string `key:"clamd"`
	ICAP           string `key:"icap"`
}

// Limits bounds what clients may do and what caches may hold.
type Limits struct {
	Enabled      bool   `key:"enabled"`
	Rates        []Rate `key:"rates"`
	MaxBodyKiB   int    `key:"max_body_kib"`
	CacheMiB     int    `key:"cache_mib"`
	TokenInQuery bool   `key:"token_in_query"`
}

// Rate replaces the limit of one class of requests.
type Rate struct {
	Name      string  `key:"name"`
	PerSecond float64 `key:"per_second"`
	Burst     float64 `key:"burst"`
}

// Log says what is logged and in which form.
type Log struct {
	Level  string `key:"level"`
	Format string `key:"format"`
}

// Default is the configuration of a server that sets nothing.
func Default() *Config {
	return &Config{
		Server:    Server{Name: DefaultServerName},
		Listen:    Listen{Client: "127.0.0.1:8008", Metrics: "127.0.0.1:9464"},
		Database:  Database{Connections: 20},
		Password:  Password{Argon2Time: 2, Argon2MemoryKiB: 19456, MinLength: 8},
		Accounts:  Accounts{RemindDays: 14},
		Email:     Email{Security: "starttls", Language: "en"},
		Rooms:     Rooms{DefaultVersion: "12"},
		Media:     Media{MaxUploadMiB: 100, Legacy: true, ImageMemoryMiB: 256},
		Limits:    Limits{Enabled: true, MaxBodyKiB: 1024, CacheMiB: 32, TokenInQuery: true},
		Push:      Push{Notices: true},
		Retention: Retention{MessagesMinDays: 1},
		Ledger:    Ledger{Strict: true, Reads: true, RetentionDays: 366},
		Log:       Log{Level: "info", Format: "text"},
		Calls:     Calls{Mode: CallsOff, UDPPort: 7882, TCPPort: 7881, TokenMinutes: 10, MaxParticipants: 100},
		TURN:      TURN{RelayMin: 49160, RelayMax: 49200, LifeMinutes: 240, Quota: 10},
	}
}

// DefaultServerName is the name of a server that was given none. It can never change once accounts exist.
const DefaultServerName = "localhost"

// DefaultDir and DefaultFile are what `serve` uses when it is told nothing.
const (
	DefaultDir  = "data"
	DefaultFile = "rempart.yaml"
)

// resolve makes paths absolute from base and fills in those that follow from the data folder.
func (c *Config) resolve(base string) {
	under := func(dir, path, def string) string {
		if path == "" {
			path = def
		}
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	c.Server.DataDir = under(base, c.Server.DataDir, ".")
	data := c.Server.DataDir
	if c.Server.SigningKey == "" {
		c.Server.SigningKey = filepath.Join(data, "signing.key")
	}
	if c.Database.Path == "" {
		c.Database.Path = filepath.Join(data, "rempart.db")
	}
	if c.Media.Path == "" {
		c.Media.Path = filepath.Join(data, "media")
	}
	for i := range c.Server.Tenants {
		t := &c.Server.Tenants[i]
		t.SigningKey = under(base, t.SigningKey, filepath.Join(data, "signing-"+t.Name+".key"))
	}
	for _, path := range []*string{&c.Server.SigningKey, &c.Database.Path, &c.Listen.TLSCert, &c.Listen.TLSKey, &c.Federation.CA, &c.Policy.File, &c.Registration.SharedSecretFile,
		&c.Email.PasswordFile, &c.Password.BcryptPepperFile, &c.Media.Path, &c.Calls.APISecretFile, &c.TURN.SecretFile, &c.Media.Clamd, &c.Ledger.Key} {
		*path = under(base, *path, "")
	}
	for i, path := range c.Appservices.Files {
		c.Appservices.Files[i] = under(base, path, "")
	}
}
