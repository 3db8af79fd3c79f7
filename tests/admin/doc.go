// Package admin asks a running server for everything that administrators' interfaces call.
package admin
