// Package arch holds the laws of the layout as checks over the sources: who may import whom, where each outside
// library lives, how long files and functions may be, and what no package may have. They run as a test, so that a
// broken law fails the build. docs/architecture.md says why each law stands.
package arch
