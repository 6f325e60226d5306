// Files and memory mapped into memory, and watching a folder.
using System;
using System.IO;
using System.IO.MemoryMappedFiles;
using System.Linq;
using System.Threading;

class Program
{
    static void Show(string name, Action action)
    {
        try
        {
            action();
            Console.WriteLine(name + ": done");
        }
        catch (Exception exception)
        {
            Console.WriteLine(name + ": " + exception.GetType().Name);
        }
    }

    static void Maps(string folder)
    {
        var path = Path.Combine(folder, "file");
        File.WriteAllBytes(path, Enumerable.Range(0, 10000).Select(i => (byte)i).ToArray());
        using (var file = MemoryMappedFile.CreateFromFile(path))
        {
            using (var view = file.CreateViewAccessor(5000, 100))
            {
                Console.WriteLine(view.ReadByte(0) + " " + view.ReadInt32(1) + " " + view.Capacity);
                view.Write(2, 0x01020304);
                view.Flush();
            }
            using (var view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.CopyOnWrite))
            {
                view.Write(0, (byte)77);
                Console.WriteLine(view.ReadByte(0) + " " + view.ReadInt32(5002));
            }
            using (var stream = file.CreateViewStream(4096, 16, MemoryMappedFileAccess.Read))
                Console.WriteLine(stream.ReadByte() + " " + stream.ReadByte() + " " + stream.CanWrite);
            Show("beyond the end", () => file.CreateViewAccessor(9000, 2000));
        }
        var bytes = File.ReadAllBytes(path);
        Console.WriteLine(bytes.Length + " " + bytes[0] + " " + bytes[5002]);
        using (var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 12000)) { }
        Console.WriteLine(new FileInfo(path).Length);
        using (var stream = File.Open(path, FileMode.Open))
        using (var file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.ReadWrite, null, HandleInheritability.None, true))
        using (var view = file.CreateViewAccessor(0, 4))
            Console.WriteLine(view.ReadInt32(0));
        Show("too small", () => MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 10));
        Show("missing", () => MemoryMappedFile.CreateFromFile(path + "x"));
        Show("empty", () => MemoryMappedFile.CreateFromFile(path + "x", FileMode.Create));
        Show("exists", () => MemoryMappedFile.CreateFromFile(path, FileMode.CreateNew, null, 10));
        using (var memory = MemoryMappedFile.CreateNew("saki map", 5000))
        using (var again = MemoryMappedFile.OpenExisting("saki map"))
        using (var one = memory.CreateViewAccessor())
        using (var two = again.CreateViewAccessor(0, 8))
        {
            one.Write(0, 123456789L);
            Console.WriteLine(two.ReadInt64(0));
            Show("again", () => MemoryMappedFile.CreateNew("saki map", 5000));
        }
        Show("gone", () => MemoryMappedFile.OpenExisting("saki map"));
    }

    static void Watch(string folder)
    {
        using (var watcher = new FileSystemWatcher(folder, "*.txt"))
        {
            var created = new ManualResetEvent(false);
            var deleted = new ManualResetEvent(false);
            watcher.Created += (sender, e) => { Console.WriteLine(e.ChangeType + " " + e.Name); created.Set(); };
            watcher.Deleted += (sender, e) => { Console.WriteLine(e.ChangeType + " " + e.Name); deleted.Set(); };
            watcher.EnableRaisingEvents = true;
            File.WriteAllText(Path.Combine(folder, "other"), "text");
            File.WriteAllText(Path.Combine(folder, "file.txt"), "text");
            Console.WriteLine(created.WaitOne(20000));
            File.Delete(Path.Combine(folder, "file.txt"));
            Console.WriteLine(deleted.WaitOne(20000));
        }
    }

    // As much as 32 bits cannot address.
    static bool IsRefused(long capacity)
    {
        try { MemoryMappedFile.CreateNew("saki" + Guid.NewGuid(), capacity).Dispose(); return false; }
        catch (ArgumentOutOfRangeException exception) { return exception.ParamName == "capacity"; }
    }

    static void Main()
    {
        Console.WriteLine(IntPtr.Size == 8 || IsRefused((long)uint.MaxValue + 1));
        var folder = Path.Combine(Path.GetTempPath(), "saki" + Guid.NewGuid());
        Directory.CreateDirectory(folder);
        try
        {
            Maps(folder);
            Watch(folder);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}
