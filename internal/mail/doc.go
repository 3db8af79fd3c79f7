// Package mail writes letters to people and hands them to an SMTP server: strict addresses, templates in French and
// English, messages in which nothing that a user wrote can become a header.
//
// It owns the form of a letter. The core decides that one is sent, and cmd hands in how connections are opened: the
// package itself dials nowhere.
package mail
