// Package api asks a running server for every operation of the specification.
package api
