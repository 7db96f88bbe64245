module sandbox/helloworld

go 1.26.0
