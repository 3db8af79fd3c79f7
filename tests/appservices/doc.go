// Package appservices proves what application services rest on, with real parts: the server's binary as a process of its own, and
// an application service as another, which dies by SIGKILL and returns.
package appservices
