// Package config reads the configuration: a YAML file and the environment over built-in defaults, typed and checked.
//
// Every mistake is found before the server starts and told in one sentence. Each key SECTION.KEY can also be given as
// the environment variable REMPART_SECTION_KEY. The commented file that a first start writes (default.yaml) is the
// manual of all keys. cmd is the only caller; the package is the only home of viper.
package config
