error: serve.host=localhost serve.port=18765 cannot be listened on: Address already in use; choose another serve.port, 0 takes a free one, or an address of this machine
