// Sockets on the loopback: streams, datagrams, options, errors, waiting, asynchronous forms, and HTTP over them.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

class Program
{
    static void Show(string name, Action action)
    {
        try
        {
            action();
        }
        catch (SocketException exception)
        {
            Console.WriteLine(name + ": " + exception.SocketErrorCode + " " + exception.ErrorCode);
        }
        catch (Exception exception)
        {
            Console.WriteLine(name + ": " + exception.GetType().Name + ", " + exception.InnerException?.GetType().Name);
        }
    }

    static Socket Tcp() { return new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp); }

    static readonly IPEndPoint AnyPort = new IPEndPoint(IPAddress.Loopback, 0);

    static void Pair(Action<Socket, Socket> action)
    {
        using (var listener = Tcp())
        {
            listener.Bind(AnyPort);
            listener.Listen(1);
            using (var client = Tcp())
            {
                client.Connect(listener.LocalEndPoint);
                using (var server = listener.Accept())
                    action(client, server);
            }
        }
    }

    static void Streams()
    {
        Pair((client, server) =>
        {
            Console.WriteLine(client.RemoteEndPoint.Equals(server.LocalEndPoint) + " " + client.Connected + " " + client.Poll(0, SelectMode.SelectRead));
            // More than the system takes at once.
            client.SendBufferSize = 4096;
            server.ReceiveBufferSize = 4096;
            var data = new byte[200000];
            for (int i = 0; i < data.Length; i++)
                data[i] = (byte)(i * 7);
            var sender = new Thread(() => { Console.WriteLine("sent " + client.Send(data)); client.Shutdown(SocketShutdown.Send); });
            sender.Start();
            var received = new MemoryStream();
            var buffer = new byte[65536];
            for (int count; (count = server.Receive(buffer)) > 0;)
                received.Write(buffer, 0, count);
            sender.Join();
            var copy = received.ToArray();
            Console.WriteLine("received " + copy.Length + " " + (Convert.ToBase64String(copy) == Convert.ToBase64String(data)));
            server.Send(new[] { new ArraySegment<byte>(new byte[] { 1, 2 }), new ArraySegment<byte>(new byte[] { 3 }) });
            while (client.Available < 3)
                Thread.Sleep(1);
            Console.WriteLine(client.Receive(new[] { new ArraySegment<byte>(buffer, 0, 1), new ArraySegment<byte>(buffer, 1, 9) }) + " bytes in pieces");
            server.ReceiveTimeout = 20;
            client.ReceiveTimeout = 20;
            Show("time", () => client.Receive(buffer));
            client.Blocking = false;
            Show("at once", () => client.Receive(buffer));
            Show("flags", () => client.Receive(buffer, (SocketFlags)0x40));
        });
    }

    static void Select()
    {
        Pair((client, server) =>
        {
            server.Send(new byte[1]);
            var read = new System.Collections.ArrayList { client, server };
            var write = new System.Collections.ArrayList { client };
            Socket.Select(read, write, null, 1000000);
            Console.WriteLine(read.Count + " " + (read[0] == client) + " " + write.Count);
            read = new System.Collections.ArrayList { server };
            Socket.Select(read, null, null, 1000);
            Console.WriteLine(read.Count + " " + server.Poll(1000, SelectMode.SelectRead) + " " + server.Poll(1000, SelectMode.SelectWrite));
        });
    }

    static void Datagrams()
    {
        using (var one = new UdpClient(AnyPort))
        using (var two = new UdpClient(new IPEndPoint(IPAddress.Loopback, 0)))
        {
            one.Send(Encoding.ASCII.GetBytes("datagram"), 8, (IPEndPoint)two.Client.LocalEndPoint);
            IPEndPoint sender = null;
            Console.WriteLine(Encoding.ASCII.GetString(two.Receive(ref sender)) + " " + sender.Equals(one.Client.LocalEndPoint));
            var task = one.ReceiveAsync();
            two.Send(new byte[] { 1, 2, 3 }, 3, sender);
            Console.WriteLine(task.Result.Buffer.Length);
        }
    }

    static void Options()
    {
        using (var socket = Tcp())
        {
            socket.NoDelay = true;
            socket.LingerState = new LingerOption(true, 3);
            socket.SendTimeout = 1500;
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            Console.WriteLine(socket.NoDelay + " " + socket.LingerState.LingerTime + " " + socket.SendTimeout);
            Console.WriteLine(socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive)
                + " " + socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Type)
                + " " + socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)
                + " " + socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress)
                + " " + socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Linger, 20).Length);
            socket.ReceiveBufferSize = 9000;
            socket.Ttl = 33;
            Console.WriteLine(socket.ReceiveBufferSize + " " + socket.Ttl);
            Console.WriteLine(socket.IOControl(IOControlCode.KeepAliveValues, new byte[] { 1, 0, 0, 0, 0x88, 0x13, 0, 0, 0xe8, 3, 0, 0 }, null));
            Show("control", () => socket.IOControl(0x12345, null, null));
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.DontLinger, new byte[] { 0 });
            Console.Write(socket.LingerState.Enabled);
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.DontLinger, new byte[] { 1 });
            Console.Write(" " + socket.LingerState.Enabled);
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.DontLinger, 0);
            Console.WriteLine(" " + socket.LingerState.Enabled);
        }
        // An error is told again after the kernel has forgotten it.
        using (Socket free = Tcp(), client = Tcp())
        {
            free.Bind(AnyPort);
            var point = free.LocalEndPoint;
            free.Close();
            client.Blocking = false;
            var done = new ManualResetEvent(false);
            client.BeginConnect(point, _ => done.Set(), null);
            done.WaitOne();
            for (int index = 0; index < 2; index++)
                Console.Write(client.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error) + " ");
            Console.WriteLine(client.Connected);
        }
    }

    static void Errors()
    {
        var free = Tcp();
        free.Bind(AnyPort);
        var point = free.LocalEndPoint;
        Show("in use", () => { using (var other = Tcp()) other.Bind(point); });
        free.Close();
        Show("refused", () => { using (var client = Tcp()) client.Connect(point); });
        Show("refused later", () => { using (var client = new TcpClient()) client.ConnectAsync(IPAddress.Loopback, ((IPEndPoint)point).Port).Wait(); });
        Show("closed", () => free.Send(new byte[1]));
        Show("unconnected", () => { using (var client = Tcp()) client.Receive(new byte[1]); });
        Show("no address", () => { using (var client = Tcp()) client.Bind(new IPEndPoint(IPAddress.Parse("192.0.2.1"), 0)); });
    }

    // Closing a socket ends the waiting of another thread.
    static void Close()
    {
        var listener = Tcp();
        listener.Bind(AnyPort);
        listener.Listen(1);
        var ready = new ManualResetEvent(false);
        var waiter = new Thread(() => { ready.Set(); Show("accept", () => listener.Accept()); });
        waiter.Start();
        ready.WaitOne();
        Thread.Sleep(300);
        listener.Close();
        waiter.Join();
    }

    static async Task Asynchronously()
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var accepting = listener.AcceptTcpClientAsync();
        using (var client = new TcpClient())
        {
            await client.ConnectAsync(IPAddress.Loopback, ((IPEndPoint)listener.LocalEndpoint).Port);
            using (var server = await accepting)
            {
                var lines = Task.Run(async () =>
                {
                    var reader = new StreamReader(server.GetStream());
                    var count = 0;
                    for (string line; (line = await reader.ReadLineAsync()) != null; count += line.Length) { }
                    return count;
                });
                using (var writer = new StreamWriter(client.GetStream()))
                    for (int i = 0; i < 1000; i++)
                        await writer.WriteLineAsync("line " + i);
                Console.WriteLine("lines of " + await lines);
            }
        }
        // An operation that waits ends when the socket is closed.
        var pending = listener.AcceptSocketAsync();
        listener.Stop();
        try
        {
            await pending;
        }
        catch (ObjectDisposedException)
        {
            Console.WriteLine("disposed");
        }
        Pair((one, two) =>
        {
            var done = new ManualResetEvent(false);
            var arguments = new SocketAsyncEventArgs();
            arguments.SetBuffer(new byte[10], 0, 10);
            arguments.Completed += (sender, e) => { Console.WriteLine(e.LastOperation + " " + e.BytesTransferred); done.Set(); };
            if (!one.ReceiveAsync(arguments))
                done.Set();
            var sent = new ManualResetEvent(false);
            two.BeginSend(new byte[4], 0, 4, SocketFlags.None, result => { two.EndSend(result); sent.Set(); }, null);
            done.WaitOne();
            sent.WaitOne();
        });
    }

    // A listener that accepts nobody, with a full queue, lets others wait.
    static void CloseWhileConnecting()
    {
        Func<Socket> make = () => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using (var listener = make()) {
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen(0);
            var waiting = new List<Socket>();
            for (int i = 0; i < 4; i++) {
                waiting.Add(make());
                waiting[i].Blocking = false;
                try { waiting[i].Connect(listener.LocalEndPoint); } catch (SocketException) { }
            }
            Thread.Sleep(50);
            var connecting = make();
            string outcome = "none";
            var thread = new Thread(() => {
                try { connecting.Connect(listener.LocalEndPoint); outcome = "connected"; } catch (SocketException e) { outcome = e.SocketErrorCode.ToString(); }
            });
            thread.Start();
            Thread.Sleep(100);
            connecting.Close();
            Console.WriteLine("connecting: " + thread.Join(20000) + " " + outcome);
            waiting.ForEach(socket => socket.Close());
        }
    }

    static void Names()
    {
        Console.WriteLine(string.Join(" ", Dns.GetHostAddresses("127.0.0.1").Select(address => address.ToString())));
        Console.WriteLine(Dns.GetHostAddresses("localhost").Any(IPAddress.IsLoopback));
        Console.WriteLine(Dns.GetHostName() == Environment.MachineName);
        Show("no name", () => Dns.GetHostEntry("no.such.name.invalid"));
    }

    static void Http()
    {
        var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        var address = "http://127.0.0.1:" + ((IPEndPoint)free.LocalEndpoint).Port + "/";
        free.Stop();
        using (var listener = new HttpListener())
        {
            listener.Prefixes.Add(address);
            listener.Start();
            var serving = Task.Run(async () =>
            {
                for (int i = 0; i < 2; i++)
                {
                    var context = await listener.GetContextAsync();
                    var body = new StreamReader(context.Request.InputStream).ReadToEnd();
                    var answer = Encoding.UTF8.GetBytes(context.Request.HttpMethod + " " + context.Request.RawUrl + " " + body);
                    context.Response.StatusCode = i == 0 ? 200 : 404;
                    context.Response.OutputStream.Write(answer, 0, answer.Length);
                    context.Response.Close();
                }
            });
            using (var client = new WebClient())
                Console.WriteLine(client.UploadString(address + "path", "body"));
            try
            {
                WebRequest.Create(address + "missing").GetResponse();
            }
            catch (WebException exception)
            {
                Console.WriteLine(((HttpWebResponse)exception.Response).StatusCode);
            }
            serving.Wait();
        }
    }

    static void Main()
    {
        Streams();
        Select();
        Datagrams();
        Options();
        Errors();
        Close();
        CloseWhileConnecting();
        Asynchronously().Wait();
        Names();
        Http();
    }
}
