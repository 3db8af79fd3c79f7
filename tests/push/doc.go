// Package push tests how users are notified: real servers in their own processes, and push gateways on loopback that fail, are
// slow, reject and come back.
package push
