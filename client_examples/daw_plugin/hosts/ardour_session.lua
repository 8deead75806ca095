-- Makes a session of Ardour with one stereo track and the plug-in in it: ardour7-lua ardour_session.lua FOLDER NAME RATE KIND
--
-- KIND is VST3 or LV2. The track has no sound yet; ardour_session.py puts it in.
local folder, name, rate, kind = arg[1], arg[2], tonumber(arg[3]), arg[4]
AudioEngine:set_backend("None (Dummy)", "", "")
local session = create_session(folder, name, rate)
assert(session, "expected a new session, got none: is there one in the folder?")

local tracks = session:new_audio_track(2, 2, nil, 1, "music", ARDOUR.PresentationInfo.max_order,
  ARDOUR.TrackMode.Normal, true)
sleep(1) -- without it Ardour 7.3 crashes in Route::add_processors
local plugin = ARDOUR.LuaAPI.new_plugin(session, kind == "LV2" and "urn:deepmusic:plugin" or "deepmusic",
  ARDOUR.PluginType[kind], "")
if plugin:isnil() then
  print("expected the plug-in as " .. kind .. ", Ardour found none")
  os.exit(1)
end
for track in tracks:iter() do
  assert(track:add_processor_by_index(plugin, -1, nil, true) == 0)
end
session:save_state("")
close_session()
quit()
