"""The realtime domain: broker, sessions, tools. *Shells own threads and sockets, cores are pure.*"""
