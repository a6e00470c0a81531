# Runs gRPC's interop client once for each line of standard input: see ../repeated.py. Usage: repeat.rb CLIENT
load ARGV.shift
$stdout.sync = true

while (line = $stdin.gets)
  ARGV.replace(line.chomp.split("\t"))
  code = 0
  begin
    main
  rescue Exception => e
    warn e.full_message
    code = 1
  end
  # The client leaves its channel open, and the next run would use the same connection.
  ObjectSpace.each_object(GRPC::Core::Channel, &:close)
  puts "ended #{code}"
end
