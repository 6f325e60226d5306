// Files, folders, streams and paths.
using System;
using System.IO;
using System.Linq;
using System.Text;

static class Program {
    // What may be opened beside a file that is open, a letter for each second way: what the first one shares decides.
    static void Sharing(string path)
    {
        var shares = new[] { FileShare.None, FileShare.Read, FileShare.Write, FileShare.ReadWrite, FileShare.Delete };
        var accesses = new[] { FileAccess.Read, FileAccess.Write, FileAccess.ReadWrite };
        foreach (var access in accesses) foreach (var share in shares) {
            var line = new StringBuilder();
            using (new FileStream(path, FileMode.Open, access, share))
                foreach (var second in accesses) foreach (var secondShare in shares)
                    try { new FileStream(path, FileMode.Open, second, secondShare).Dispose(); line.Append('y'); } catch (IOException) { line.Append('n'); }
            Console.WriteLine(access + " " + share + ": " + line);
        }
        using (var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 100, FileOptions.DeleteOnClose))
            File.Copy(stream.Name, path + ".copy");
        Console.WriteLine(File.Exists(path) + " " + File.Exists(path + ".copy"));
    }

    static void Main() {
        string folder = Path.Combine(Path.GetTempPath(), "saki-files-" + Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(folder);
        try {
            string path = Path.Combine(folder, "a.txt");
            File.WriteAllText(path, "line one\nline two\nünï€\n");
            Console.WriteLine(File.ReadAllLines(path).Length + " " + new FileInfo(path).Length + " " + File.Exists(path) + " " + File.Exists(path + "x"));
            File.AppendAllText(path, "more");
            using (var reader = new StreamReader(path)) { string line; int number = 0; while ((line = reader.ReadLine()) != null) Console.WriteLine(++number + ": " + line); }
            using (var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite)) { stream.Seek(5, SeekOrigin.Begin); stream.WriteByte((byte)'X'); stream.Position = 0; var buffer = new byte[8]; Console.WriteLine(stream.Read(buffer, 0, 8) + " " + Encoding.ASCII.GetString(buffer) + " " + stream.Length); }
            using (var writer = new BinaryWriter(File.Create(Path.Combine(folder, "b.bin")))) { writer.Write(42); writer.Write("text"); writer.Write(2.5); writer.Write(true); }
            using (var reader = new BinaryReader(File.OpenRead(Path.Combine(folder, "b.bin")))) Console.WriteLine(reader.ReadInt32() + reader.ReadString() + reader.ReadDouble() + reader.ReadBoolean());
            Directory.CreateDirectory(Path.Combine(folder, "sub", "deeper")); File.Copy(path, Path.Combine(folder, "sub", "c.txt")); File.Move(Path.Combine(folder, "sub", "c.txt"), Path.Combine(folder, "sub", "d.txt"));
            Console.WriteLine(string.Join(" ", Directory.GetFileSystemEntries(folder, "*", SearchOption.AllDirectories).Select(entry => entry.Substring(folder.Length)).OrderBy(entry => entry, StringComparer.Ordinal)));
            try { File.ReadAllText(Path.Combine(folder, "missing")); } catch (FileNotFoundException) { Console.WriteLine("missing"); }
            try { File.ReadAllText(Path.Combine(folder, "none", "x")); } catch (DirectoryNotFoundException) { Console.WriteLine("no folder"); }
            Sharing(path);
            File.Delete(path); Console.WriteLine(File.Exists(path));
        } finally { Directory.Delete(folder, true); }
        Console.WriteLine(Directory.Exists(folder) + " " + Path.GetExtension("x/y.tar.gz") + " " + Path.GetFileNameWithoutExtension("/a/b.c") + " " + Path.GetDirectoryName("/a/b/c") + " " + Path.Combine("a", "/b"));
        var memory = new MemoryStream(); using (var writer = new StreamWriter(memory, new UTF8Encoding(false), 16, true)) for (int i = 0; i < 100; i++) writer.Write(i); Console.WriteLine(memory.Length);
        Console.Error.WriteLine("to standard error");
    }
}
